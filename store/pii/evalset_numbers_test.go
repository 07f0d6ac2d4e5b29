package pii_test

import (
	"fmt"
	"math/big"
	"strings"
)

// digits returns n random digits.
func digits(d *draw, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + d.IntN(10))
	}
	return string(b)
}

// checkDigit completes s: base less the weighted sum modulo m, modulo 10.
func checkDigit(s string, weights []int, base, m int) string {
	sum := 0
	for i, w := range weights {
		sum += int(s[i]-'0') * w
	}
	return s + fmt.Sprint((base-sum%m)%10)
}

var residentWeights = []int{2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5}

// resident returns a resident number (kind 1) or a foreigner's (kind 5).
// One in five fails its check, as numbers given out since October 2020 do.
func resident(d *draw, kind int) string {
	year := 1935 + d.IntN(82)
	digit := kind + d.IntN(2)
	if year >= 2000 {
		digit += 2
	}
	s := fmt.Sprintf("%02d%02d%02d%d%s", year%100, 1+d.IntN(12), 1+d.IntN(28), digit, digits(d, 5))
	base := 11
	if kind == 5 {
		base = 13
	}
	s = checkDigit(s, residentWeights, base, 11)
	if d.IntN(5) == 0 {
		s = s[:7] + digits(d, 6)
	}
	return s
}

func dashed(d *draw, s string) string {
	if d.IntN(8) == 0 {
		return s
	}
	return s[:6] + "-" + s[6:]
}

func businessNumber(d *draw) string {
	s := fmt.Sprintf("%d%02d%s", 101+d.IntN(700), 1+d.IntN(88), digits(d, 4))
	sum := int(s[8]-'0') * 5 / 10
	for i, w := range []int{1, 3, 7, 1, 3, 7, 1, 3, 5} {
		sum += int(s[i]-'0') * w
	}
	s += fmt.Sprint((10 - sum%10) % 10)
	return s[:3] + "-" + s[3:5] + "-" + s[5:]
}

func corporateNumber(d *draw) string {
	s := d.pick([]string{"110111", "110114", "131111", "180111", "160121", "120171", "200111", "134511"}) + digits(d, 5)
	s = checkDigit(s+"0", []int{1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2}, 10, 10)
	return s[:6] + "-" + s[6:]
}

func passport(d *draw) string {
	if d.IntN(2) == 0 {
		return "M" + digits(d, 8)
	}
	return d.pick([]string{"M", "M", "S", "R"}) + digits(d, 3) + string(rune('A'+d.IntN(26))) + digits(d, 4)
}

func driverLicence(d *draw) string {
	if d.IntN(5) == 0 {
		return d.pick([]string{"서울", "경기", "부산", "대구", "충남", "전남"}) + fmt.Sprintf(" %02d-%s-%s", 80+d.IntN(19), digits(d, 6), digits(d, 2))
	}
	return fmt.Sprintf("%d-%02d-%s-%s", 11+d.IntN(16), d.IntN(25), digits(d, 6), digits(d, 2))
}

// banks gives the shape of an account number: 9 stands for a digit, others stay.
var banks = [][2]string{
	{"국민은행", "999999-04-999999"}, {"KB국민", "99999904999999"}, {"신한은행", "110-999-999999"}, {"신한", "110999999999"},
	{"우리은행", "1002-999-999999"}, {"하나은행", "999-999999-99907"}, {"농협은행", "302-9999-9999-91"}, {"농협", "351-9999-9999-93"},
	{"기업은행", "999-999999-01-999"}, {"카카오뱅크", "3333-09-9999999"}, {"토스뱅크", "1000-9999-9999"}, {"새마을금고", "9002-9999-9999-9"},
	{"우체국", "999999-02-999999"}, {"SC제일은행", "999-20-999999"}, {"부산은행", "101-9999-9999-99"}, {"대구은행", "508-10-999999-9"},
}

func shaped(d *draw, shape string) string {
	b := []byte(shape)
	for i, c := range b {
		if c == '9' {
			b[i] = byte('0' + d.IntN(10))
		}
	}
	return string(b)
}

func card(d *draw) string {
	s := d.pick([]string{"4518", "5409", "9410", "4906", "5327", "6243", "3562"}) + digits(d, 11)
	sum := 0
	for i := range s {
		n := int(s[i] - '0')
		if i%2 == 0 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	s += fmt.Sprint((10 - sum%10) % 10)
	sep := d.pick([]string{"-", "-", " ", ""})
	return s[:4] + sep + s[4:8] + sep + s[8:12] + sep + s[12:]
}

func iban(d *draw) string {
	country := d.pick([]string{"DE", "DE", "AT", "CH"})
	body := digits(d, map[string]int{"DE": 18, "AT": 16, "CH": 17}[country])
	var n big.Int
	n.SetString(fmt.Sprintf("%s%d%d00", body, country[0]-'A'+10, country[1]-'A'+10), 10)
	check := 98 - new(big.Int).Mod(&n, big.NewInt(97)).Int64()
	s := fmt.Sprintf("%s%02d%s", country, check, body)
	if d.IntN(2) == 0 {
		return s
	}
	var groups []string
	for ; len(s) > 4; s = s[4:] {
		groups = append(groups, s[:4])
	}
	return strings.Join(append(groups, s), " ")
}

func socialSecurity(d *draw) string {
	return fmt.Sprintf("%03d-%02d-%04d", 101+d.IntN(564), 1+d.IntN(99), 1+d.IntN(9999))
}

func healthInsurance(d *draw) string {
	s := d.pick([]string{"1", "5", "7", "8"}) + digits(d, 10)
	if d.IntN(3) == 0 {
		return s[:1] + "-" + s[1:]
	}
	return s
}

func plate(d *draw) string {
	letter := d.pick(strings.Fields("가 나 다 라 마 거 너 더 러 머 버 서 어 저 고 노 도 로 모 보 소 오 조 구 누 두 루 무 부 수 우 주 하 허 호"))
	n := fmt.Sprint(10 + d.IntN(60))
	if d.IntN(2) == 0 {
		n = fmt.Sprint(100 + d.IntN(590))
	}
	return n + letter + d.pick([]string{"", "", " "}) + digits(d, 4)
}

func courtCase(d *draw) string {
	code := d.pick(strings.Fields("가단 가단 가합 가소 나 다 고단 고합 고정 노 도 드단 드합 르 느단 구합 누 카합 카단 카기 차전 타경 타채 머 개회 하단"))
	return fmt.Sprintf("%d%s%d", 2012+d.IntN(13), code, 100+d.IntN(98000))
}

func recordNumber(d *draw) string {
	return shaped(d, d.pick([]string{"09999999", "19999999", "9999999", "99-999999", "A9999999", "2099999999"[:8]}))
}

func vin(d *draw) string {
	const alphabet = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"
	b := []byte(d.pick([]string{"KMHD", "KNAG", "KNDJ", "1HGC", "WBA3"}))
	for len(b) < 11 {
		b = append(b, alphabet[d.IntN(len(alphabet))])
	}
	return string(b) + digits(d, 6)
}

func mobile(d *draw) string {
	a, b := fmt.Sprint(2+d.IntN(8))+digits(d, 3), digits(d, 4)
	switch d.IntN(12) {
	case 0:
		return "010." + a + "." + b
	case 1:
		return "010 " + a + " " + b
	case 2:
		return "010" + a + b
	case 3:
		return "+82-10-" + a + "-" + b
	case 4:
		return d.pick([]string{"011-", "016-", "019-"}) + a[1:] + "-" + b
	default:
		return "010-" + a + "-" + b
	}
}

func landline(d *draw) string {
	area := d.pick(strings.Fields("02 02 02 031 032 033 041 042 043 044 051 052 053 054 055 061 062 063 064 070"))
	a, b := fmt.Sprint(2+d.IntN(7))+digits(d, 2), digits(d, 4)
	if area == "070" || d.IntN(3) == 0 {
		a += digits(d, 1)
	}
	switch d.IntN(8) {
	case 0:
		return area + ") " + a + "-" + b
	case 1:
		return "(" + area + ") " + a + "-" + b
	case 2:
		return area + "." + a + "." + b
	default:
		return area + "-" + a + "-" + b
	}
}

// usPhone is of the numbers set aside for fiction, 555-0100 to 555-0199.
func usPhone(d *draw) string {
	area, n := d.pick(strings.Fields("212 312 415 503 617 702 808 919")), "01"+digits(d, 2)
	return d.pick([]string{"(" + area + ") 555-" + n, area + "-555-" + n, area + ".555." + n, "+1 " + area + " 555 " + n})
}

func email(d *draw) string {
	local := d.pick(strings.Fields("haneul sora jh.moon k_bora dasom minho.y sun-a ryujin ohsy woori")) + digits(d, 4)
	return local + "@" + d.pick(strings.Fields("naver.com daum.net gmail.com hanmail.net nate.com haedeun-law.co.kr serim.example.com saeum.or.kr"))
}

// day is a date: year, month, day of the month.
type day struct{ y, m, d int }

func newDay(d *draw, from, years int) day {
	return day{from + d.IntN(years), 1 + d.IntN(12), 1 + d.IntN(28)}
}

func (t day) dashed() string { return fmt.Sprintf("%d-%02d-%02d", t.y, t.m, t.d) }
func (t day) dotted() string { return fmt.Sprintf("%d.%02d.%02d", t.y, t.m, t.d) }
func (t day) legal() string  { return fmt.Sprintf("%d. %d. %d.", t.y, t.m, t.d) }
func (t day) korean() string { return fmt.Sprintf("%d년 %d월 %d일", t.y, t.m, t.d) }
func (t day) short() string  { return fmt.Sprintf("%02d%02d%02d", t.y%100, t.m, t.d) }
func (t day) joined() string { return fmt.Sprintf("%d%02d%02d", t.y, t.m, t.d) }
func (t day) us() string     { return fmt.Sprintf("%02d/%02d/%d", t.m, t.d, t.y) }

var months = strings.Fields("January February March April May June July August September October November December")

func (t day) english() string { return fmt.Sprintf("%s %d, %d", months[t.m-1], t.d, t.y) }
func (t day) british() string { return fmt.Sprintf("%d %s %d", t.d, months[t.m-1], t.y) }
