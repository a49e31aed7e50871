"""Events to visits, visits to one timeline a patient, timelines to records."""
