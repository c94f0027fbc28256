"""The floor: what is predicted, from which features, observed by which nodes."""

from fedhealth.study.load import DEFAULT_STUDY, builtin_studies, load_study, study_from_dict
from fedhealth.study.schema import MODALITIES, Feature, Node, Outcome, Source, Study, StudyError, Subgroup

__all__ = [
    "DEFAULT_STUDY",
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
