package pii_test

import (
	"fmt"
	"strings"
)

// place is a district as addresses name it; its roads and quarters are real,
// what stands at a number of theirs is not looked up.
type place struct {
	province []string // as it may be written, the full name first
	district string
	roads    []string
	quarters []string
}

var (
	seoul     = []string{"서울특별시", "서울시", "서울"}
	busan     = []string{"부산광역시", "부산시", "부산"}
	daegu     = []string{"대구광역시", "대구"}
	incheon   = []string{"인천광역시", "인천"}
	gwangju   = []string{"광주광역시", "광주"}
	daejeon   = []string{"대전광역시", "대전"}
	ulsan     = []string{"울산광역시", "울산"}
	gyeonggi  = []string{"경기도", "경기"}
	gangwon   = []string{"강원특별자치도", "강원도", "강원"}
	chungbuk  = []string{"충청북도", "충북"}
	chungnam  = []string{"충청남도", "충남"}
	jeonbuk   = []string{"전북특별자치도", "전라북도", "전북"}
	jeonnam   = []string{"전라남도", "전남"}
	gyeongbuk = []string{"경상북도", "경북"}
	gyeongnam = []string{"경상남도", "경남"}
	jeju      = []string{"제주특별자치도", "제주도", "제주"}
)

func newPlace(province []string, district, roads, quarters string) place {
	return place{province, district, strings.Fields(roads), strings.Fields(quarters)}
}

var places = []place{
	newPlace(seoul, "강남구", "봉은사로 논현로87길 도산대로 언주로30길 학동로", "역삼동 논현동 대치동 개포동 수서동"),
	newPlace(seoul, "관악구", "남부순환로 신림로 관악로14길 은천로", "신림동 봉천동 남현동"),
	newPlace(seoul, "노원구", "동일로 한글비석로 노해로 상계로5길", "상계동 중계동 하계동 월계동"),
	newPlace(seoul, "마포구", "양화로 포은로 성미산로 토정로", "망원동 합정동 성산동 공덕동"),
	newPlace(seoul, "송파구", "올림픽로 백제고분로 오금로15길 가락로", "잠실동 방이동 문정동 거여동"),
	newPlace(seoul, "종로구", "자하문로 율곡로 대학로8가길 창경궁로", "혜화동 명륜동2가 부암동 숭인동"),
	newPlace(seoul, "영등포구", "국회대로 당산로 여의대방로 도림로", "당산동5가 문래동3가 신길동 대림동"),
	newPlace(seoul, "중랑구", "면목로 망우로 용마산로", "면목동 묵동 상봉동"),
	newPlace(busan, "해운대구", "해운대로 좌동순환로 반여로", "중동 좌동 우동 반송동"),
	newPlace(busan, "사하구", "낙동대로 다대로 승학로", "괴정동 하단동 다대동"),
	newPlace(busan, "부산진구", "가야대로 중앙대로 전포대로", "부전동 전포동 양정동"),
	newPlace(daegu, "달서구", "월배로 상화로 달구벌대로", "상인동 진천동 월성동"),
	newPlace(daegu, "북구", "칠곡중앙대로 대학로 침산로", "산격동 침산동 구암동"),
	newPlace(incheon, "부평구", "부평대로 경인로 장제로", "부평동 십정동 산곡동"),
	newPlace(incheon, "미추홀구", "인하로 경인로 소성로", "주안동 학익동 용현동"),
	newPlace(gwangju, "서구", "상무대로 풍암순환로 죽봉대로", "치평동 풍암동 화정동"),
	newPlace(daejeon, "유성구", "대덕대로 문화원로 노은로", "봉명동 지족동 관평동"),
	newPlace(daejeon, "중구", "계룡로 대종로 선화로", "선화동 대흥동 태평동"),
	newPlace(ulsan, "남구", "삼산로 문수로 돋질로", "삼산동 무거동 달동"),
	newPlace([]string{"세종특별자치시", "세종시", "세종"}, "", "한누리대로 도움6로 새롬중앙로", "도담동 새롬동 종촌동"),
	newPlace(gyeonggi, "수원시 영통구", "봉영로 덕영대로 매영로", "영통동 매탄동 망포동"),
	newPlace(gyeonggi, "성남시 분당구", "성남대로 불정로 내정로", "정자동 서현동 야탑동"),
	newPlace(gyeonggi, "고양시 덕양구", "화신로 중앙로 고양대로", "화정동 행신동 삼송동"),
	newPlace(gyeonggi, "안산시 단원구", "원선로 광덕대로 화랑로", "고잔동 원곡동 선부동"),
	newPlace(gyeonggi, "부천시", "부천로 길주로 소사로", "중동 심곡동 소사본동"),
	newPlace(gyeonggi, "김포시", "김포한강1로 봉화로 사우중로", "장기동 사우동 풍무동"),
	newPlace(gyeonggi, "남양주시", "경춘로 다산중앙로 늘을2로", "다산동 호평동 평내동"),
	newPlace(gangwon, "춘천시", "중앙로 퇴계로 영서로", "석사동 후평동 효자동"),
	newPlace(gangwon, "강릉시", "경강로 강릉대로 율곡로", "교동 포남동 입암동"),
	newPlace(chungbuk, "청주시 흥덕구", "가로수로 대농로 직지대로", "복대동 가경동 봉명동"),
	newPlace(chungnam, "천안시 동남구", "만남로 충절로 청수6로", "신부동 청당동 원성동"),
	newPlace(chungnam, "아산시", "온천대로 번영로 배방로", "온천동 모종동 풍기동"),
	newPlace(jeonbuk, "전주시 덕진구", "백제대로 기린대로 송천중앙로", "송천동2가 인후동1가 우아동3가"),
	newPlace(jeonnam, "순천시", "연향중앙상가길 팔마로 왕지로", "조례동 연향동 왕지동"),
	newPlace(jeonnam, "목포시", "영산로 백년대로 하당로", "상동 용당동 옥암동"),
	newPlace(gyeongbuk, "포항시 북구", "중흥로 새천년대로 삼호로", "장성동 두호동 양덕동"),
	newPlace(gyeongbuk, "구미시", "인동가산로 송정대로 상사동로", "송정동 형곡동 인의동"),
	newPlace(gyeongnam, "창원시 마산합포구", "3·15대로 해안대로 월영남로", "월영동 산호동 자산동"),
	newPlace(gyeongnam, "김해시", "김해대로 분성로 내외중앙로", "내동 삼계동 외동"),
	newPlace(jeju, "제주시", "연삼로 노형로 중앙로", "노형동 이도이동 연동"),
	newPlace(jeju, "서귀포시", "중앙로 신중로 태평로", "서귀동 동홍동 강정동"),
}

// villages: province, county or city, township, hamlet.
var villages = [][4]string{
	{"충청남도", "홍성군", "광천읍", "신진리"}, {"충남", "예산군", "삽교읍", "두리"}, {"전라남도", "해남군", "황산면", "우항리"},
	{"전남", "고흥군", "도양읍", "봉암리"}, {"경상북도", "의성군", "금성면", "대리리"}, {"경북", "영덕군", "강구면", "오포리"},
	{"경상남도", "하동군", "악양면", "평사리"}, {"경남", "거창군", "가조면", "마상리"}, {"강원도", "평창군", "봉평면", "창동리"},
	{"강원특별자치도", "정선군", "북평면", "나전리"}, {"충청북도", "괴산군", "청천면", "화양리"}, {"전라북도", "부안군", "변산면", "격포리"},
	{"경기도", "양평군", "용문면", "다문리"}, {"경기도", "여주시", "가남읍", "태평리"}, {"제주특별자치도", "제주시", "애월읍", "고내리"},
	{"경기", "화성시", "향남읍", "행정리"},
}

var buildings = strings.Fields("한들마을아파트 새솔빌라 누리오피스텔 푸른숲아파트 다온빌 해맑은타운 은빛마을5단지 초원빌리지 늘봄맨션")

func number(d *draw) string {
	n := fmt.Sprint(1 + d.IntN(398))
	if d.IntN(3) == 0 {
		n += fmt.Sprintf("-%d", 1+d.IntN(40))
	}
	return n
}

// unit is what follows the number of a house, or nothing.
func unit(d *draw) string {
	flat, floor := fmt.Sprintf("%d호", 100*(1+d.IntN(15))+1+d.IntN(8)), fmt.Sprintf("%d층", 1+d.IntN(12))
	block := fmt.Sprintf("%d동", 101+d.IntN(20))
	return d.pick([]string{"", "", "", " " + flat, ", " + flat, ", " + floor, ", " + block + " " + flat, ", " + block + " " + flat,
		" " + block + " " + flat, ", 지하 1층", fmt.Sprintf(", B%d호", 101+d.IntN(4))})
}

func join(parts ...string) string { return strings.Join(strings.Fields(strings.Join(parts, " ")), " ") }

func roadAddress(d *draw) string {
	p := d.place()
	a := join(d.pick(p.province), p.district, d.pick(p.roads), number(d))
	building := d.pick(buildings)
	named := fmt.Sprintf(" %s %d동 %d호", building, 101+d.IntN(20), 100*(1+d.IntN(15))+1+d.IntN(8))
	quarter := d.pick(p.quarters)
	switch d.IntN(8) {
	case 0:
		return a + unit(d) + " (" + quarter + ")"
	case 1:
		return a + unit(d) + " (" + quarter + ", " + building + ")"
	case 2:
		return a + d.pick([]string{"", ","}) + named
	case 3:
		return a + d.pick([]string{"", ","}) + named + " (" + quarter + ")"
	default:
		return a + unit(d)
	}
}

func lotAddress(d *draw) string {
	p := d.place()
	return join(d.pick(p.province), p.district, d.pick(p.quarters), number(d)) + d.pick([]string{"", "", "번지"})
}

func shortAddress(d *draw) string {
	p := d.place()
	for p.district == "" {
		p = d.place()
	}
	switch d.IntN(5) {
	case 0:
		return join(p.district, d.pick(p.roads), number(d))
	case 1:
		return join(p.province[len(p.province)-1], p.district, d.pick(p.quarters), number(d))
	case 2:
		return join(p.district, d.pick(p.quarters), d.pick(buildings), fmt.Sprintf("%d동 %d호", 101+d.IntN(9), 100*(1+d.IntN(15))+1+d.IntN(4)))
	default:
		return join(p.district, d.pick(p.quarters), number(d))
	}
}

func ruralAddress(d *draw) string {
	v := villages[d.IntN(len(villages))]
	n := number(d)
	if d.IntN(4) == 0 {
		n = "산 " + n
	}
	return join(v[0], v[1], v[2], v[3], n) + d.pick([]string{"", "", "번지"})
}

func postcode(d *draw) string { return fmt.Sprintf("%05d", 1000+d.IntN(62000)) }

// englishAddress marks the postcode alone: whether it is a part of the address
// is left to the detector, see score.
func englishAddress(d *draw) string {
	street := d.pick(strings.Fields("Maplewood Harrison Prospect Sycamore Lincoln Bayview Juniper Chestnut Ridgecrest Delancey Kingsley"))
	kind := d.pick([]string{"Street", "St", "Ave", "Avenue", "Blvd", "Road", "Lane", "Drive", "Court", "Terrace"})
	town := d.pick([]string{"Springfield, IL", "Portland, OR", "Richmond, VA", "Columbus, OH", "Boise, ID", "Tucson, AZ", "Albany, NY", "Plano, TX", "Dayton, OH", "San Mateo, CA"})
	flat := d.pick([]string{"", "", "", ", Apt 4B", ", Unit 12", " #305", ", Suite 200"})
	return fmt.Sprintf("{ADDRESS|%d %s %s%s, %s} {POSTCODE|%05d}", 10+d.IntN(9000), street, kind, flat, town, 10000+d.IntN(89000))
}

func romanAddress(d *draw) string {
	a := d.pick([]string{"Nonhyeon-ro 87-gil, Gangnam-gu, Seoul", "Sinbanpo-ro, Seocho-gu, Seoul", "Haeundae-ro, Haeundae-gu, Busan",
		"Bongyeong-ro, Yeongtong-gu, Suwon-si, Gyeonggi-do", "Daedeok-daero, Yuseong-gu, Daejeon", "Wolbae-ro, Dalseo-gu, Daegu"})
	a = fmt.Sprintf("%s%d, %s", d.pick([]string{"", "", "302-1104, ", "Apt. 501, "}), 1+d.IntN(300), a)
	if d.IntN(2) == 0 {
		return "{ADDRESS|" + a + "} {POSTCODE|" + postcode(d) + "}"
	}
	return "{ADDRESS|" + a + "}"
}
