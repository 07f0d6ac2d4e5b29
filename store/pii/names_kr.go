package pii

import (
	"strconv"
	"strings"
	"sync"
)

const (
	hangulBase  = 0xAC00
	hangulCount = 11172
)

// nameModel is what the rules know of Korean names: surnames, given names, and
// how likely each syllable is in a given name.
type nameModel struct {
	surname  [hangulCount]float32 // weight of a surname of one syllable; 0: none
	compound runeSet              // surnames of two syllables
	starts   [hangulCount]bool    // first syllables of those
	opens    [hangulCount]bool    // what a surname or a usual given name can begin with
	first    [hangulCount]float32 // log odds of a syllable as the first and as the
	second   [hangulCount]float32 // second of a given name
	given    *pairSet             // given names of two syllables
	plain    runeSet              // given names of plain Korean, of two and three syllables
	plains   *pairSet             // what those begin with
	single   [hangulCount]bool    // given names of one syllable
	words    runeSet              // words that look like names, of two to five syllables
	begins   *pairSet             // what those begin with
}

// pairSet is a set of pairs of syllables: a matrix over those that occur.
type pairSet struct {
	row    [hangulCount]uint32 // where the row of a first syllable begins; 0: none
	col    [hangulCount]uint16 // numbers of second syllables; 0: none
	matrix []bool
}

func newPairSet(pairs [][2]rune) *pairSet {
	s := &pairSet{}
	cols := uint16(1)
	for _, p := range pairs {
		if b := &s.col[p[1]-hangulBase]; *b == 0 {
			*b = cols
			cols++
		}
	}
	size := uint32(cols)
	for _, p := range pairs {
		if a := &s.row[p[0]-hangulBase]; *a == 0 {
			*a = size
			size += uint32(cols)
		}
	}
	s.matrix = make([]bool, size)
	for _, p := range pairs {
		s.matrix[s.row[p[0]-hangulBase]+uint32(s.col[p[1]-hangulBase])] = true
	}
	return s
}

func (s *pairSet) has(a, b rune) bool {
	return s.matrix[s.row[a-hangulBase]+uint32(s.col[b-hangulBase])]
}

// isCompound says whether r begins with a surname of two syllables.
func (m *nameModel) isCompound(r []rune) bool {
	return m.starts[r[0]-hangulBase] && m.compound.has(r[:2])
}

// Weights of surnames, by how common they are.
var surnameTiers = map[string]float32{"1": 1, "2": -0.4, "3": -2.2}

var koreanNames = sync.OnceValue(func() *nameModel {
	m := &nameModel{}
	var given, plains [][2]rune
	for _, line := range dataLines("surnames_kr.txt") {
		tier, list, _ := strings.Cut(line, ":")
		for _, s := range strings.Fields(list) {
			r := []rune(s)
			if len(r) == 2 {
				m.compound.add(r)
				m.starts[r[0]-hangulBase] = true
			} else if i := r[0] - hangulBase; m.surname[i] == 0 {
				m.surname[i] = surnameTiers[tier]
			}
		}
	}
	for i := range m.first {
		m.first[i], m.second[i] = -2.5, -2.5
	}
	for _, line := range dataLines("given_syllables_kr.txt") {
		for _, f := range strings.Fields(line) {
			r := []rune(f)[0]
			rest := f[len(string(r)):]
			cut := 1 + strings.IndexAny(rest[1:], "+-")
			a, err1 := strconv.Atoi(rest[:cut])
			b, err2 := strconv.Atoi(rest[cut:])
			if err1 != nil || err2 != nil {
				panic("store/pii: given_syllables_kr.txt: " + f + " is not a syllable and two numbers")
			}
			m.first[r-hangulBase], m.second[r-hangulBase] = float32(a)/10, float32(b)/10
		}
	}
	for _, line := range dataLines("given_kr.txt") {
		for _, g := range strings.Fields(line) {
			if r := []rune(g); len(r) == 2 {
				given = append(given, [2]rune{r[0], r[1]})
			} else if len(r) == 1 {
				m.single[r[0]-hangulBase] = true
			}
		}
	}
	for _, line := range dataLines("given_plain_kr.txt") {
		for _, g := range strings.Fields(line) {
			r := []rune(g)
			m.plain.add(r)
			plains = append(plains, [2]rune{r[0], r[1]})
		}
	}
	for _, r := range "준민솔별산찬율건현훈진욱웅혁철석호결봄린윤은빈선숙용한원혜희정수연영경미란옥담람슬샘섭균" {
		m.single[r-hangulBase] = true
	}
	m.given, m.plains = newPairSet(given), newPairSet(plains)
	var begins [][2]rune
	for _, line := range dataLines("words_kr.txt") {
		for _, w := range strings.Fields(line) {
			if r := []rune(w); len(r) > 1 && classOf(r[0]) == cHangul && classOf(r[1]) == cHangul {
				m.words.add(r)
				begins = append(begins, [2]rune{r[0], r[1]})
			}
		}
	}
	m.begins = newPairSet(begins)
	for i := range m.opens {
		m.opens[i] = m.surname[i] != 0 || m.starts[i] || m.given.row[i] != 0
	}
	return m
})

// weight returns how much speaks for the given name a, b: log odds.
func (m *nameModel) weight(a, b rune) float64 {
	w := 0.8 * float64(m.first[a-hangulBase]+m.second[b-hangulBase])
	w = max(-5, min(w, 4.5))
	if m.given.has(a, b) {
		w = max(w, 2.5) + 1
	}
	if w < 2 && m.plains.has(a, b) && m.plain.has([]rune{a, b}) {
		w = max(w, 1) + 0.7
	}
	if b == '이' { // more often the particle
		w -= 1.5
	}
	return w
}

// wordPenalty is how much speaks against a name because the text word r begins
// like an ordinary word.
func (m *nameModel) wordPenalty(r []rune) float64 {
	if !m.begins.has(r[0], r[1]) {
		return 0
	}
	for n := min(len(r), 5); n >= 2; n-- {
		if m.words.has(r[:n]) {
			switch {
			case n >= 3:
				return 6
			case len(r) >= 3 && strings.ContainsRune(wordEndings, r[2]) && !(len(r) == 4 && r[2] == '하' && strings.ContainsRune("의를가와", r[3])):
				return 2.5
			case len(r) >= 3 && m.given.has(r[1], r[2]) && m.surname[r[0]-hangulBase] > 0:
				return 0.5
			case len(r) == 3:
				return 1
			}
			return 2
		}
	}
	return 0
}

// wordEndings go on a noun: particles, the endings of verbs made of nouns, and
// usual suffixes.
const wordEndings = "은는이가을를도만와과의에로나라하한할해함했되된될돼됨시일후전중자인용식률율성화적별상내외간측등들권금비료액분"

// tail is what hangs on a name in the same text word.
type tail struct {
	ok       bool
	weight   float64 // what it says about the name before it
	evidence string
}

// tailKind says what a particle or title is.
type tailKind uint8

const (
	tailPersonal   tailKind = 1 << iota // a particle that only persons take
	tailNeutral                         // a particle that everything takes
	tailIntroduces                      // an ending with which people introduce themselves
	tailTitle                           // a title
	tailVocative                        // a form of address
	tailWeak                            // a title that is also the end of other words
)

// tailLists are the particles and titles. A name that ends in a consonant may
// carry 이 before a particle: 길동이가.
var tailLists = map[tailKind]string{
	tailPersonal: `에게 에게서 에게는 에게도 에게만 에게로 한테 한테서 한테는 한테도 한테만 께 께서 께서는 께서도 께서만 이한테 이한테서
		이에게 이에게서 이가 이는 이를 이의 이와 이도 이랑 이네 이만 이하고 이랑은 한테로 께로 님께`,
	tailNeutral: `은 는 이 가 을 를 의 와 과 도 만 으로 로 로서 으로서 로부터 으로부터 이나 나 하고 랑 보다 처럼 까지 부터 이며 며 이고 고 이라는
		라는 이란 란 이라 라 이다 이었다 였다 이었고 였고 이었으며 였으며 이자 인 인데 이던 뿐 마저 조차 밖에 에 및 외 등 측 이라며 라며 이니 니 이죠 죠
		만이 만을 만은 과의 와의 과는 와는 으로는 로는 이었습니다 였습니다 이십니다 까지도 이라서 라서 이나마 이든 든 이라도 라도 야 이야 네`,
	tailIntroduces: `입니다 이에요 예요 이예요 이라고 라고 입니다만 이요 이고요 고요 인데요 요 이라고요 라고요 아 임 이라는데 라는데 이라던데 라던데
		이라는데요 라는데요 이래 래 이래요 래요 이거든요 거든요 이구요 구요 이랍니다 랍니다 이신데요 이라니까 라니까 이었어요 였어요 인데 이래서 래서`,
	tailTitle: `선생 선생님 교수 교수님 원장 원장님 부원장 병원장 과장 과장님 부장 부장님 차장님 대리 대리님 사원 주임 주임님 팀장 팀장님 실장 실장님
		국장 국장님 본부장 사장 사장님 부사장 대표 대표님 대표이사 이사 이사님 전무 전무님 상무 상무님 회장 회장님 부회장 의원 의원님 장관 차관 판사 판사님
		부장판사 검사 검사님 부장검사 변호사 변호사님 변호인 법무사 세무사 회계사 노무사 변리사 의사 의사선생님 한의사 치과의사 간호사 간호사님 수간호사 약사
		약사님 전공의 전문의 레지던트 인턴 박사 박사님 교사 강사 강사님 코치 감독 감독님 선수 기자님 작가 작가님 배우 가수 목사 목사님 신부님 스님 수녀님 경위
		경감 경정 경사 경장 순경 형사 소방관 소방사 대위 소령 중령 대령 병장 상병 일병 이병 하사 중사 상사 학생 환자 환자분 환자님 어르신 할머니 할아버지 고객
		고객님 회원 회원님 여사 여사님 부인 아버님 어머님 보호자 보호자님 보호자분 피고인 피의자 증인 주무관 주무관님 사무관 서기관 위원 위원님 위원장 위원장님
		연구원 연구원님 센터장 센터장님 지점장 지점장님 소장 소장님 총무 반장 반장님 이장 통장 조교 조교님 총장 총장님 학장 학장님 교장 교장선생님 교감 담임 책임 책임님 선임 선임님
		수석 수석님 파트장 파트장님 그룹장 매니저 담당 담당님 담당자 담당자님 어린이 아동 아기 산모 산모님 수급자 승객 승객님 신랑 신부 프로 프로님 차장님 보호자께서
		아저씨 아줌마 아주머니 누나 언니 오빠 이모 삼촌 엄마 아빠 어머니 아버지 매니저 매니저님 디자이너 상담사 상담원 치료사 물리치료사 방사선사 임상병리사
		영양사 사회복지사 요양보호사 간병인 기사 기사님 씨네 쌤 샘 쌤들 이사장 이사장님 집사 집사님 권사 권사님 장로 장로님 전도사 전도사님 사모님 조사관 조사관님 수사관 수사관님 간사 간사님 사무장 사무장님
		실무관 계장 계장님 서장 서장님 청장 청장님 시장 시장님 군수 군수님 구청장 구청장님 동장 동장님 면장 이장님 통장님 관장 관장님 행정사 행정사님 집행관 사법보좌관 공증인
		주사 주사보 서기보 부위원장 사무총장 부부 모녀 부자 가족`,
	tailVocative: "씨 님",
	tailWeak:     "군 양 형 차장 기자",
}

// tailTable looks the lists up.
type tailTable struct {
	kinds  runeMap[tailKind]
	starts [hangulCount]tailStart // by first syllable
}

// tailStart is what is known of the particles and titles that begin with a syllable.
type tailStart struct {
	kinds   tailKind // of any of them
	lengths uint16   // bit n: one has n syllables
}

var tails = sync.OnceValue(func() *tailTable {
	t := &tailTable{}
	for kind, list := range tailLists {
		for w := range strings.FieldsSeq(list) {
			r := []rune(w)
			known, _ := t.kinds.get(r)
			t.kinds.put(r, known|kind)
			s := &t.starts[r[0]-hangulBase]
			s.kinds |= kind
			s.lengths |= 1 << len(r)
		}
	}
	return t
})

// tailKindOf returns what r is.
func tailKindOf(r []rune) tailKind { return tails().kindOf(r) }

func (t *tailTable) kindOf(r []rune) tailKind {
	if len(r) == 0 || classOf(r[0]) != cHangul || t.starts[r[0]-hangulBase].lengths>>len(r)&1 == 0 {
		return 0
	}
	k, _ := t.kinds.get(r)
	return k
}

// tailOf judges r, the rest of the word behind a name; coda says whether the
// name ends in a consonant.
func tailOf(r []rune, coda bool) tail {
	if len(r) == 0 {
		return tail{ok: true}
	}
	t := tails()
	starts := t.starts[r[0]-hangulBase].kinds
	if len(r) > 9 || starts == 0 {
		return tail{}
	}
	k := t.kindOf(r)
	switch {
	case k&tailPersonal != 0:
		if r[0] == '이' && !coda {
			return tail{}
		}
		return tail{true, 2.5, "particle of persons"}
	case k&tailIntroduces != 0 && agrees(r, coda):
		return tail{true, 1, "introduction"}
	case k&(tailNeutral|tailIntroduces) != 0:
		if agrees(r, coda) {
			return tail{true, 0.3, ""}
		}
		return tail{true, -2, ""}
	}
	if starts&(tailTitle|tailVocative|tailWeak) == 0 {
		return tail{}
	}
	for n := min(len(r), 6); n >= 1; n-- {
		k := t.kindOf(r[:n])
		if k&(tailTitle|tailVocative|tailWeak) == 0 {
			continue
		}
		if n < len(r) && t.kindOf(r[n:])&(tailPersonal|tailNeutral|tailIntroduces) == 0 {
			continue
		}
		switch {
		case k&tailVocative != 0 && r[0] == '님' && !coda: // 아님
			return tail{true, 3.5, "form of address"}
		case k&tailVocative != 0:
			return tail{true, 5, "form of address"}
		case k&tailWeak != 0: // also parts of words: 주차장, 대기자
			return tail{true, 0.8, "title"}
		}
		return tail{true, 4, "title"}
	}
	return tail{}
}

// agrees says whether the particle r fits the sound before it.
func agrees(r []rune, coda bool) bool {
	switch r[0] {
	case '은', '이', '을', '과':
		return coda || len(r) > 1 && r[0] == '이' && r[1] != '나' && r[1] != '랑'
	case '는', '가', '를', '와', '나', '랑', '며', '라', '란', '예', '였', '야', '네':
		return !coda
	case '아':
		return coda
	}
	return true
}

// hasCoda says whether a syllable ends in a consonant.
func hasCoda(r rune) bool { return (r-hangulBase)%28 != 0 }
