"""The floor: what is predicted, from which features, observed by which nodes."""

from fedhealth.study.load import builtin_studies, load_study, study_from_dict
from fedhealth.study.schema import MODALITIES, Feature, Node, Outcome, Source, Study, StudyError, Subgroup

__all__ = [
    "MODALITIES",
    "Feature",
    "Node",
    "Outcome",
    "Source",
    "Study",
    "StudyError",
    "Subgroup",
    "builtin_studies",
    "load_study",
    "study_from_dict",
]
