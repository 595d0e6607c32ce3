import pytest

from balancer.prompting.packs import PACKS, load_pack
from balancer.prompting.prompts import pack_texts
from balancer.prompting.spelling import is_known, misspelt, nearest, vocabulary

MISSPELLINGS = """
pnuemonia:pneumonia penumonia:pneumonia pneumona:pneumonia neumonia:pneumonia pnemonia:pneumonia pneumomia:pneumonia
radiogragh:radiograph radigraph:radiograph radiograpgh:radiograph radiorgaph:radiograph raidograph:radiograph
radiogarphy:radiography efusion:effusion effussion:effusion effusoin:effusion effsuion:effusion
consolodation:consolidation consoldation:consolidation consolidaton:consolidation cosolidation:consolidation
atelectesis:atelectasis atelactasis:atelectasis atelectsis:atelectasis atalectasis:atelectasis
cardiomegally:cardiomegaly cardiomegly:cardiomegaly cardomegaly:cardiomegaly pneumothroax:pneumothorax
pnuemothorax:pneumothorax pneumothorx:pneumothorax emphasema:emphysema emphysma:emphysema emphyzema:emphysema
fibrosos:fibrosis nodul:nodule noduel:nodule opacitiy:opacity opactiy:opacity infitrate:infiltrate
infiltate:infiltrate pluera:pleura plueral:pleural tuberculosus:tuberculosis tubercolosis:tuberculosis
fractrue:fracture fracure:fracture frature:fracture dislocaiton:dislocation dislocaton:dislocation
osteoartritis:osteoarthritis osteoarthrits:osteoarthritis osteoperosis:osteoporosis osteopirosis:osteoporosis
intersitial:interstitial interstital:interstitial bronchogam:bronchogram diaphram:diaphragm diaphragam:diaphragm
mediastinm:mediastinum medistinum:mediastinum billateral:bilateral bilaterial:bilateral calcifcation:calcification
calcificaton:calcification comminuited:comminuted greenstik:greenstick chset:chest silhoutte:silhouette
silouette:silhouette inspriation:inspiration projecton:projection ateroposterior:anteroposterior
""".split()  # noqa: SIM905  # a list of words is read best as words

# Correct terms, written apart from the vocabulary, in which most of them are not; they are not to be added to it.
HELD_OUT = """
achalasia acetabuloplasty acromegaly alveolitis anasarca antecubital apicolordotic arachnodactyly arthrography
arthroscopy azygoesophageal barotrauma bicondylar bifurcation blastomycosis botryoid brachycephaly brachydactyly
bronchocentric bronchoscopy bronchostenosis bursal calcaneonavicular cardiophrenic cardiopulmonary carpometacarpal
cavitations chondrolysis chondromalacia chylous coalescent coalition collarbone condylar corticated costal costosternal
coxarthrosis craniocaudal craniosynostosis cuboidal dactylitis degloving desiccation dextroscoliosis diaphanous
diffusely discitis discoid discopathy dorsiflexion echinococcosis ectopic enthesophyte enthesopathy enthesitis
epicardial epiglottis epiglottitis epiphysiolysis equinovarus exudate exudative femoroacetabular fibroelastosis
fibromatosis fibula flail fluorosis gibbus glenoidal gonarthrosis hamulus hemivertebra hemopericardium hemosiderosis
hepatomegaly hilum hydatid hypercapnia hypochondroplasia hypophosphatasia hypoxemia incisural infraspinatus intercostal
interlobar interlobular intervertebral intracardiac ischiofemoral isthmus juxtacortical keratosis kyphoplasty
labral laryngeal larynx leiomyoma lingular lipoid lobectomies lucently lunatomalacia lymphangioma
lymphangioleiomyomatosis macrodactyly mastoid meningocele mesothelial metaphysitis microcardia microlithiasis
mucormycosis multilocular
myelofibrosis myositis neurofibroma neurofibromatosis neurogenic occult odontoid olecranial oligoarthritis osteoblast
osteoclast osteolysis osteomas osteophytosis osteopoikilosis osteotomy panacinar panniculitis paraffinoma parapneumonic
patella patellectomy pectus excavatum carinatum perilunate peritendinitis pleurodesis plombage pneumatization
pneumocyst pneumomediastinal polyarthritis polychondritis polydactyly popliteal postprimary pseudarthrosis
pseudotumor pyopneumothorax radioulnar reticulogranular retrolisthesis retropharyngeal sacroiliitis sacralization
scapholunate schwannoma sclerosing sesamoid silicotuberculosis spondyloarthropathy sternebra subacromial subglottic
sublobar supraspinatus symphyseal syndactyly syndesmosis synostosis teratoma thoracoplasty thoracoscopy thymoma
tibiotalar tomogram tracheomalacia tracheobronchial transudate transthoracic tuberosity uncinate uncovertebral
valgus vertebroplasty vesicular viscera xiphisternum zygomatic
adipose agranulocytosis ankylosis antecedent anterolisthesis aortitis apophysitis arteriosclerosis atheroma
atheromatous autologous bioprosthesis brachiocephalic bronchiectatic bronchopleural bronchoalveolar calcar
callosity cannula cannulated capitulum cephalad chemoport cholecystectomy chondrosternal coccygeal coeliac
colonoscopy contracture costectomy cranioplasty cribriform decortication dermatomyositis diverticulum duodenal
dysostosis dyspnea effaced emphysematous enchondral endobronchial esophagectomy extravasation fenestrated
fibrothorax fistula fluoride ganglion gangrene gastrostomy hematogenous hemidiaphragmatic hyperostosis
hypovolemia iatrogenic ileostomy immature incarcerated inguinal instability interphalangeal kyphotic
laparotomy leptomeningeal leukemia ligation lobulated lumen lunula malformed manubriosternal mediastinitis
melorheostosis monostotic mycobacterium nephrostomy neuropathic nidus obesity oligoarticular orthosis ossicle
osteitis osteopathia paramedian parasternal patulous periosteitis periprosthetic physeal pleuroparenchymal
polyostotic pneumatosis posterolateral proteinosis pulmonic pyogenic quadriceps radiocarpal regurgitation
retrosternal rhabdomyosarcoma sarcopenia sclerodactyly seronegative sternoclavicular subtalar suppurative
supracardiac syringomyelia talonavicular tarsometatarsal tendinosis tortuosity trabeculation tracheoesophageal
ulceration venography ventricular vertebral xanthoma stent coil ventriculoperitoneal
""".split()  # noqa: SIM905


@pytest.mark.parametrize("pair", MISSPELLINGS)
def test_realistic_misspellings_are_found_and_the_right_word_is_offered(pair):
    wrong, right = pair.split(":")
    assert list(misspelt(f"a {wrong} here")) == [(wrong, right)]


def test_correct_terms_raise_no_alarm():
    assert len(set(HELD_OUT)) >= 300
    assert sum(not is_known(word) for word in HELD_OUT) >= 200
    assert {word: near for word in HELD_OUT if (near := nearest(word))} == {}


@pytest.mark.parametrize("name", PACKS)
def test_packaged_packs_raise_no_alarm(name):
    pack = load_pack(name)
    assert [*misspelt(" ".join(pack_texts(pack, [each.name for each in pack.classes])))] == []
    assert [*misspelt(" ".join(" ".join((each.name, *each.synonyms)) for each in pack.classes))] == []


def test_names_of_people_in_the_middle_of_a_text_are_left_alone():
    assert [*misspelt("a Jones fracture, a Segond or a Neer type fracture")] == []
    assert [*misspelt("Pnuemonia of the lung")] == [("Pnuemonia", "pneumonia")]


def test_what_resembles_nothing_is_left_alone():
    assert [*misspelt("zebra COPD ARDS xyz Röntgen Лёгкое 12345 qwertyuiop ab")] == []


def test_both_spellings_and_usual_endings_are_known():
    for word in ("oedema", "edema", "tumours", "tumors", "paediatric", "pediatric", "nonunion", "subpleurally"):
        assert is_known(word), word
    assert not is_known("opacitys")


def test_the_vocabulary_is_sorted_lower_case_and_has_no_word_twice():
    from importlib.resources import files

    lines = (files("prompt_templates") / "vocabulary.txt").read_text("utf-8").splitlines()
    words = [line for line in lines if not line.startswith("#")]
    assert words == sorted(set(words))
    assert all(word.isascii() and word.islower() and word.isalpha() for word in words)
    assert vocabulary() > set(words)
