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
	building := d.pick(d.buildings)
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
		return join(p.district, d.pick(p.quarters), d.pick(d.buildings), fmt.Sprintf("%d동 %d호", 101+d.IntN(9), 100*(1+d.IntN(15))+1+d.IntN(4)))
	default:
		return join(p.district, d.pick(p.quarters), number(d))
	}
}

func ruralAddress(d *draw) string {
	v := d.villages[d.IntN(len(d.villages))]
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
	street := d.pick(d.streets)
	kind := d.pick([]string{"Street", "St", "Ave", "Avenue", "Blvd", "Road", "Lane", "Drive", "Court", "Terrace"})
	town := d.pick(d.towns)
	flat := d.pick([]string{"", "", "", ", Apt 4B", ", Unit 12", " #305", ", Suite 200"})
	return fmt.Sprintf("{ADDRESS|%d %s %s%s, %s} {POSTCODE|%05d}", 10+d.IntN(9000), street, kind, flat, town, 10000+d.IntN(89000))
}

func romanAddress(d *draw) string {
	a := d.pick(d.romanPlaces)
	a = fmt.Sprintf("%s%d, %s", d.pick([]string{"", "", "302-1104, ", "Apt. 501, "}), 1+d.IntN(300), a)
	if d.IntN(2) == 0 {
		return "{ADDRESS|" + a + "} {POSTCODE|" + postcode(d) + "}"
	}
	return "{ADDRESS|" + a + "}"
}
