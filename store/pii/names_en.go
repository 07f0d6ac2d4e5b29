package pii

import (
	"strings"
	"sync"
)

// latinProps is what is known of a word in Latin letters.
type latinProps uint16

const (
	latinFirst        latinProps = 1 << iota // first name
	latinLast                                // last name
	latinCommon                              // everyday word
	latinOrganisation                        // ends the name of what is no person
	latinCredential                          // stands behind a name: MD
	latinLink                                // stands inside of a last name: van
	latinSurname                             // Korean surname
	latinSyllable                            // syllable of a Korean given name
	latinNever                               // in no name: and, the, of
)

// latinWords returns what is known of words, in lower case.
var latinWords = sync.OnceValue(func() *latinMap[latinProps] {
	m := &latinMap[latinProps]{}
	add := func(list string, p latinProps) {
		for w := range strings.FieldsSeq(list) {
			r := []rune(w)
			m.put(r, m.get(r)|p)
		}
	}
	for _, line := range dataLines("names_latin.txt") {
		which, list, _ := strings.Cut(line, ":")
		if which == "last" {
			add(list, latinLast)
		} else {
			add(list, latinFirst)
		}
	}
	for _, line := range dataLines("words_en.txt") {
		add(line, latinCommon)
	}
	add(organisations, latinOrganisation)
	add(credentials, latinCredential)
	add(nameLinks, latinLink)
	add(romanSurnames, latinSurname)
	add(romanSyllables, latinSyllable)
	add("and the of", latinNever)
	return m
})

// props returns what is known of the word r.
func props(r []rune) latinProps { return latinWords().get(r) }

// organisations end the names of what is no person.
const organisations = `hospital clinic center centre medical health healthcare pharmacy university college school institute academy
	church temple museum library bank street st avenue ave road rd boulevard blvd drive lane ln court ct square sq way parkway pkwy highway hwy
	company corporation inc llc ltd corp co group holdings partners associates foundation association society agency bureau ministry
	services systems solutions technologies insurance financial capital investment trust fund realty law firm llp department act bill
	county city town state river lake bridge tower building plaza mall hotel inn restaurant cafe airport station theater theatre
	disease syndrome test scale score score's method algorithm theorem award prize day memorial house hall stadium arena records press
	properties enterprises logistics foods ventures builders construction development estates gallery studios farms vineyards mutual savings
	union credit communications telecom networks media publishing pictures entertainment sports fitness dental veterinary rehabilitation hospice nursing
	logistics freight shipping energy petroleum chemical steel electronics semiconductor instruments supplies products brands stores mart outlet market
	depot express courier travel tours resort suites apartments residences condominiums gardens terrace heights manor village township borough parish
	district council committee commission board authority administration office embassy consulate headquarters division unit ward icu
	motors airlines industries international laboratories labs pharmaceuticals pharma gmbh ag sa plc server studio code cloud`

// credentials stand behind the names of doctors, lawyers and others.
const credentials = "md m.d rn esq jr sr ii iii iv phd ph.d dds do np pa dvm jd cpa mba llm lpn pharmd"

// nameLinks stand inside of last names: Ludwig van Beethoven.
const nameLinks = "van von de del della der den da di la le bin bint al el ibn ter ten dos das du y"

// Surnames of Koreans in Latin letters, and the syllables of their given names
// (Revised Romanisation, McCune-Reischauer and what is usual in passports).
const (
	romanSurnames = `kim lee yi rhee park pak bak choi choe jung jeong chung cheong kang gang cho jo yoon yun jang chang lim im rim han oh
		seo suh shin sin kwon gwon hwang ahn an song ryu yoo yu you hong jeon jun chun ko go koh moon mun son sohn yang bae baek paik heo hur huh nam
		shim sim noh roh no ha kwak gwak sung seong cha joo ju woo koo gu ku na min jin ji eom um chae won cheon bang gong hyun ham byun yeom choo
		chu do so seok sun seol ma gil yeon wi pyo myung ki gi ban ra wang geum ok yook in maeng je mo tak kook eo eun pyun yong namgung hwangbo
		bong pyun tae hyung pi eo cheo gam uhm lyu nahm seol jegal sunwoo dokgo sagong seomun
		jwa dang kan kahn dokko bok yook gal on hyung hwangbo seonu dok gok noe nwe dan don bi sa sang shi chang cha che chi choung cheun eun han heo hu
		yeo yeob yung woo wui seong tark tack pung phi phyo moh myeong maeng ok okh nang na ki kil kook kwun kwok kye jeen jie jeoung im`
	romanSyllables = `a ah an ahn ara baek bae beom bin bo bok bong bum byung byeong byul chae chan chang cheol chul chun chung da dae dal dam dan
		deok do dong doo du duk eok eon eui eun eunho ga gab gap gang geon geun gi gil go gon gu gun gwang gwon gyeong gyo gyu gyun ha hae haeng ham
		han hak hee heon heum hoe ho hong hoon hui hun hwa hwan hwang hwi hye hyeok hyeon hyo hyuk hyun hyung i ik il im in ja jae jang je jeok jeong ji
		jik jin jo jong joo joon ju jun jung kang keun ki kil kook kwang kwon kyeong kyo kyu kyun kyung lan lee mal man me mi min mo mok moo moon mu
		mun myeong myung na nae nam nan no noo nu o oak oh ok ra ram ran ri rim rin ro ryang ryeo ryeol ryul ryun sa sae sam san sang seo seok seol
		seon seong seop seul seung shik shil shim shin si sik sil sim sin so sol son song soo sook soon su suk sul sun sung sup tae taek teuk ui uk
		un ung wan wha wi wol won woo wook woon woong wu ya yang ye yea yeo yeol yeon yeong yeop yi yo yong yoo yool yoon you young yu yul yun yup
		rae on som rom bom hoo reum neul byeol byul bit nuri onnuri saebyeok areum boram iseul garam raon dasom saerom haneul seulgi narae hansol hangyeol
		chorong yeoul bora nari bitna eutteum gyeore damdam yool ryul hwi sol reol reo`
)

// romanGiven says how much r looks like a Korean given name in Latin letters: 2
// with a hyphen, 1 without, 0 not.
func romanGiven(r []rune) int {
	if len(r) > 14 {
		return 0
	}
	for i := 1; i < len(r); i++ {
		if r[i] == '-' {
			if props(r[:i])&latinSyllable != 0 && props(r[i+1:])&latinSyllable != 0 {
				return 2
			}
			return 0
		}
	}
	for i := 2; i+1 <= len(r) && len(r) > 2; i++ {
		if props(r[:i])&latinSyllable != 0 && props(r[i:])&latinSyllable != 0 {
			return 1
		}
	}
	return 0
}
