"""Numbers that stand for codes, visit types and sexes in model inputs."""

PAD, MASK, UNKNOWN, FIRST_CODE = 0, 1, 2, 3
VISIT_TYPES = ("IP", "ED", "OP", "RX", "OTHER")  # ids 1..5, 0 is padding
SEXES = ("F", "M")  # ids 1, 2; 0 is unknown
CODE_VOCABULARY = "codes"
STEM_VOCABULARY = "stems"
NO_LABEL_ROW = -1  # the label does not come from a table
