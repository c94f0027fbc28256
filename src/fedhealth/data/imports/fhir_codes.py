"""Which codes in a FHIR record mean what: LOINC for observations, SNOMED CT and ICD for conditions, and smoking.

Names of SNOMED CT are those of value sets of US quality measures (2.16.840.1.113883.3.526.3.376 heart failure, .369
coronary artery disease, .362 asthma; 2.16.840.1.113883.3.117.1.7.1.202 atrial fibrillation) and of Synthea's modules.
"""

from collections.abc import Mapping

LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
# What an observation is; where it has several codes, the one further up counts.
OBSERVATIONS: Mapping[str, str] = {
    "40443-4": "resting_heart_rate",
    "8867-4": "pulse",
    "59408-5": "spo2",
    "2708-6": "spo2",
    "41950-7": "daily_steps",
    "55423-8": "steps",
    "93832-4": "sleep_duration",
    "30525-0": "age",
    "72166-2": "smoker",
}
# Smoking status of US Core and the International Patient Summary, in SNOMED CT and LOINC's answers; None: not known.
SMOKING: Mapping[str, float | None] = {
    "449868002": 1, "428041000124106": 1, "77176002": 1, "428071000124103": 1, "428061000124105": 1,
    "230059006": 1, "230060001": 1, "230063004": 1, "65568007": 1,
    "LA18976-3": 1, "LA18977-1": 1, "LA18979-7": 1, "LA18981-3": 1, "LA18982-1": 1,
    "8517006": 0, "266919005": 0, "8392000": 0, "LA15920-4": 0, "LA18978-9": 0,
    "266927001": None, "LA18980-5": None,
}  # fmt: skip
# Lasting disease of heart or lungs, which an infarction leaves too; a cold or high blood pressure alone is none.
CHRONIC_SNOMED: Mapping[str, str] = {
    "53741008": "coronary arteriosclerosis",
    "443502000": "coronary atherosclerosis",
    "414545008": "ischaemic heart disease",
    "413838009": "chronic ischaemic heart disease",
    "399261000": "history of coronary artery bypass",
    "22298006": "myocardial infarction",
    "401303003": "myocardial infarction with ST elevation",
    "401314000": "myocardial infarction without ST elevation",
    "399211009": "history of myocardial infarction",
    "194828000": "angina",
    "233819005": "stable angina",
    "4557003": "unstable angina",
    "84114007": "heart failure",
    "42343007": "congestive heart failure",
    "85232009": "left heart failure",
    "367363000": "right ventricular failure",
    "56675007": "acute heart failure",
    "417996009": "systolic heart failure",
    "418304008": "diastolic heart failure",
    "441481004": "chronic systolic heart failure",
    "441530006": "chronic diastolic heart failure",
    "443253003": "acute on chronic systolic heart failure",
    "443344007": "acute on chronic diastolic heart failure",
    "153941000119100": "chronic combined systolic and diastolic heart failure",
    "703272007": "heart failure with reduced ejection fraction",
    "446221000": "heart failure with normal ejection fraction",
    "88805009": "chronic congestive heart failure",
    "48447003": "chronic heart failure",
    "424404003": "decompensated chronic heart failure",
    "46113002": "hypertensive heart failure",
    "5148006": "hypertensive heart disease with congestive heart failure",
    "85898001": "cardiomyopathy",
    "49436004": "atrial fibrillation",
    "282825002": "paroxysmal atrial fibrillation",
    "440059007": "persistent atrial fibrillation",
    "440028005": "permanent atrial fibrillation",
    "706923002": "longstanding persistent atrial fibrillation",
    "426749004": "chronic atrial fibrillation",
    "5370000": "atrial flutter",
    "195080001": "atrial fibrillation and flutter",
    "13213009": "congenital heart disease",
    "368009": "heart valve disease",
    "60573004": "aortic valve stenosis",
    "60234000": "aortic valve regurgitation",
    "48724000": "mitral valve regurgitation",
    "79619009": "mitral valve stenosis",
    "56786000": "pulmonary valve stenosis",
    "91434003": "pulmonary valve regurgitation",
    "49915006": "tricuspid valve stenosis",
    "111287006": "tricuspid valve regurgitation",
    "1231000119100": "history of aortic valve replacement",
    "119481000119105": "history of aortic valve repair",
    "64715009": "hypertensive heart disease",
    "70995007": "pulmonary hypertension",
    "13645005": "chronic obstructive lung disease",
    "313296004": "mild chronic obstructive lung disease",
    "313297008": "moderate chronic obstructive lung disease",
    "313299006": "severe chronic obstructive lung disease",
    "135836000": "end stage chronic obstructive lung disease",
    "195951007": "acute exacerbation of chronic obstructive lung disease",
    "185086009": "chronic obstructive bronchitis",
    "63480004": "chronic bronchitis",
    "195949008": "chronic asthmatic bronchitis",
    "87433001": "pulmonary emphysema",
    "195967001": "asthma",
    "233678006": "childhood asthma",
    "427603009": "intermittent asthma",
    "427679007": "mild intermittent asthma",
    "426979002": "mild persistent asthma",
    "427295004": "moderate persistent asthma",
    "426656000": "severe persistent asthma",
    "370218001": "mild asthma",
    "370219009": "moderate asthma",
    "370221004": "severe asthma",
    "389145006": "allergic asthma",
    "266361008": "non-allergic asthma",
    "31387002": "exercise-induced asthma",
    "281239006": "exacerbation of asthma",
    "708038006": "acute exacerbation of asthma",
    "409663006": "cough variant asthma",
    "12295008": "bronchiectasis",
    "51615001": "fibrosis of lung",
    "700250006": "idiopathic pulmonary fibrosis",
    "233703007": "interstitial lung disease",
    "22607003": "asbestosis",
    "39871006": "chronic respiratory failure",
    "190905008": "cystic fibrosis",
}
# ICD-10 and its national forms, by the start of the code, which some write without its dot.
CHRONIC_ICD10 = (
    "I05", "I06", "I07", "I08", "I09", "I11", "I13", "I20", "I21", "I22", "I25", "I27", "I34", "I35", "I36", "I37",
    "I42", "I43", "I48", "I50", "I51", "J41", "J42", "J43", "J44", "J45", "J47", "J60", "J61", "J62", "J63", "J64",
    "J84", "J961", "E84", "Q20", "Q21", "Q22", "Q23", "Q24",
)  # fmt: skip
# The same diseases in ICD-9-CM, without the dot.
CHRONIC_ICD9 = (
    "393", "394", "395", "396", "397", "398", "402", "404", "410", "412", "413", "414", "416", "424", "425",
    "4273", "428", "429", "491", "492", "493", "494", "496", "500", "501", "502", "503", "505", "515", "516",
    "51883", "2770", "745", "746",
)  # fmt: skip
# Infarctions of the heart: they end, and what they leave lasts.
INFARCTIONS = ("22298006", "401303003", "401314000", "I21", "I22", "410")
# The object identifiers of SNOMED CT, of ICD-10 and ICD-10-CM, and of ICD-9-CM's diagnoses.
OIDS = {
    "urn:oid:2.16.840.1.113883.6.96": SNOMED,
    "urn:oid:2.16.840.1.113883.6.3": "icd-10",
    "urn:oid:2.16.840.1.113883.6.90": "icd-10-cm",
    "urn:oid:2.16.840.1.113883.6.103": "icd-9-cm",
}


def is_chronic(system: str, code: str) -> bool | None:
    """Whether a condition's code means a chronic disease of heart or lungs; None where the system is not known."""
    system = OIDS.get(system, system)
    if not code:
        return None
    if system == SNOMED:
        return code in CHRONIC_SNOMED
    if "icd-10" in system.lower():
        return code.replace(".", "").startswith(CHRONIC_ICD10)
    return code.replace(".", "").startswith(CHRONIC_ICD9) if "icd-9" in system.lower() else None


def is_infarction(code: str) -> bool:
    """Whether a condition that :func:`is_chronic` is an infarction of the heart."""
    return code.startswith(INFARCTIONS)
