"""Where CMS publishes DE-SynPUF, and where its files lie on this machine."""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from claimpt_tf.errors import InputError

SAMPLES = range(1, 21)

_PAGE = (
    "https://www.cms.gov/Research-Statistics-Data-and-Systems/"
    "Downloadable-Public-Use-Files/SynPUFs/Downloads"
)
_FILES = "https://downloads.cms.gov/files"
# CMS moved this one file when it replaced a faulty one.
_MOVED = {
    "DE1_0_2010_Beneficiary_Summary_File_Sample_1.zip": (
        "https://www.cms.gov/sites/default/files/2020-09"
    )
}
_BLOCK = 1 << 20
_BENEFICIARIES = "*Beneficiary_Summary*"


def download_urls(sample: int) -> list[str]:
    """Addresses of the eight zip files of a sample, as CMS publishes them.

    Args:
      sample: 1 to 20.

    Raises:
      InputError: There is no such sample.

    Example:
      >>> len(download_urls(2))
      8
      >>> download_urls(2)[-1].rpartition("/")[2]
      'DE1_0_2008_to_2010_Prescription_Drug_Events_Sample_2.zip'
    """
    if sample not in SAMPLES:
        raise InputError(f"sample is {sample}: DE-SynPUF has samples 1 to 20")
    years = [
        f"DE1_0_{year}_Beneficiary_Summary_File_Sample_{sample}.zip"
        for year in (2008, 2009, 2010)
    ]
    stem = "DE1_0_2008_to_2010"
    claims = [f"{stem}_{kind}_Claims_Sample_{sample}.zip" for kind in _INSTITUTIONAL]
    large = [
        f"{stem}_Carrier_Claims_Sample_{sample}A.zip",
        f"{stem}_Carrier_Claims_Sample_{sample}B.zip",
        f"{stem}_Prescription_Drug_Events_Sample_{sample}.zip",
    ]
    return [
        *(f"{_MOVED.get(name, _PAGE)}/{name}" for name in [*years, *claims]),
        *(f"{_FILES}/{name}" for name in large),
    ]


_INSTITUTIONAL = ("Inpatient", "Outpatient")


def holds_synpuf(folder: str | os.PathLike[str]) -> bool:
    """Whether beneficiary summaries lie in a folder, or in folders within it."""
    path = Path(folder)
    return any(path.glob(_BENEFICIARIES)) or any(path.glob(f"*/{_BENEFICIARIES}"))


def unpack(zips: Iterable[str | os.PathLike[str]], folder: Path) -> Path:
    """Unpacks the CSV files of zips into one folder.

    Not by tensorflow-datasets: its extractor holds whole files in memory, and waits for
    ever where there are as many zips as threads (four a core).

    Args:
      zips: Files as downloaded, whatever their names.
      folder: Made anew.

    Returns:
      `folder`.

    Raises:
      InputError: A file is no zip, such as an error page in its place.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in zips:
        try:
            with zipfile.ZipFile(path) as archive:
                for entry in archive.infolist():
                    name = Path(entry.filename).name
                    if name.lower().endswith(".csv"):
                        with (
                            archive.open(entry) as packed,
                            open(folder / name, "wb") as plain,
                        ):
                            shutil.copyfileobj(packed, plain, _BLOCK)
        except (zipfile.BadZipFile, EOFError, zlib.error) as error:
            raise InputError(
                f"{path}: what was downloaded is no whole zip file ({error}). Remove "
                "it and try again, or give the files as `manual_dir`."
            ) from None
    return folder
