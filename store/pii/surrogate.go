package pii

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
)

// surrogate makes stand-ins for the values of one entity.
type surrogate struct {
	// make returns a value of the same form that is nobody's. It is false for a
	// form that it does not know.
	make func(r *rand.Rand, value string) (string, bool)
	// reserved says whether a value is nobody's by its form, as all that make
	// returns are; nil: only the vault knows.
	reserved func(value string) bool
}

// surrogates is the table of entities that can have them. Numbers that a house
// gives out by itself, such as those of patients, have no form that is nobody's.
var surrogates = map[string]surrogate{
	Person:          {makePerson, nil},
	Address:         {makeAddress, reservedAddress},
	Phone:           {makePhone, reservedPhone},
	Fax:             {makePhone, reservedPhone},
	Email:           {makeEmail, reservedEmail},
	URL:             {makeURL, reservedURL},
	IPAddress:       {makeIP, reservedIP},
	MACAddress:      {makeMAC, reservedMAC},
	ResidentNumber:  {makeRegistration, reservedRegistration},
	ForeignerNumber: {makeRegistration, reservedRegistration},
	BusinessNumber:  {makeBusiness, reservedBusiness},
	CorporateNumber: {makeCorporation, reservedCorporation},
	Passport:        {makePassport, nil},
	DriverLicense:   {makeDriver, reservedDriver},
	SocialSecurity:  {makeSSN, reservedSSN},
	CreditCard:      {makeCard, reservedCard},
	BankAccount:     {makeBank, nil},
	IBAN:            {makeIBAN, reservedIBAN},
	VehiclePlate:    {makePlate, reservedPlate},
	CourtCase:       {makeCase, reservedCase},
	Postcode:        {makePostcode, reservedPostcode},
}

// maxTries is how many surrogates are tried for a value before it gets a token.
const maxTries = 64

// propose returns the surrogate of a value that is tried as number try. It
// depends on the project's key, the entity, the value and try, and nothing else.
func (m *Masker) propose(entity, value string, try int) (string, bool) {
	s, ok := surrogates[entity]
	if !ok || try >= maxTries {
		return "", false
	}
	seed := m.names.MAC("surrogate", entity, value, fmt.Sprint(try))
	out, ok := s.make(rand.New(rand.NewChaCha8(seed)), value)
	return out, ok && out != value
}

// digitsIn returns the digits of a value, in the scripts that matching knows.
func digitsIn(value string) []int {
	d := newDoc(value, nil)
	defer d.free()
	var out []int
	for i, c := range d.cls {
		if c == cDigit {
			out = append(out, int(d.r[i]-'0'))
		}
	}
	return out
}

// fill writes digits in the place of a value's, which are as many.
func fill(value string, digits []int) (string, bool) {
	d := newDoc(value, nil)
	defer d.free()
	out, last, n := "", 0, 0
	for i, c := range d.cls {
		if c != cDigit {
			continue
		}
		if n == len(digits) {
			return "", false
		}
		out += value[last:d.byteStart(i)] + string(rune('0'+digits[n]))
		last = d.byteEnd(i + 1)
		n++
	}
	return out + value[last:], n == len(digits)
}

// random replaces the digits from the first on.
func random(r *rand.Rand, digits []int) {
	for i := range digits {
		digits[i] = r.IntN(10)
	}
}

// spoil makes the last digit one with which check fails.
func spoil(digits []int, check func([]int) bool) {
	last := &digits[len(digits)-1]
	for check(digits) {
		*last = (*last + 1) % 10
	}
}

// makeRegistration makes a resident or foreigner registration number: born on a
// 30th of February, with a region that is not given out (96 to 99) and a wrong
// check digit. The day alone makes it impossible: tails are random since
// October 2020.
func makeRegistration(r *rand.Rand, value string) (string, bool) {
	digits := digitsIn(value)
	if len(digits) != 13 {
		return "", false
	}
	century := digits[6]
	random(r, digits)
	copy(digits[2:], []int{0, 2, 3, 0, century, 9, 6 + r.IntN(4)})
	base := 11
	if century >= 5 && century <= 8 {
		base = 13
	}
	spoil(digits, func(d []int) bool { return registrationCheck([13]int(d), base) })
	return fill(value, digits)
}

func reservedRegistration(value string) bool {
	d := digitsIn(value)
	return len(d) == 13 && d[2] == 0 && d[3] == 2 && d[4] == 3 && d[5] == 0
}

// makeBusiness makes a business number of the kind 00, which is none, with a
// wrong check digit.
func makeBusiness(r *rand.Rand, value string) (string, bool) {
	digits := digitsIn(value)
	if len(digits) != 10 {
		return "", false
	}
	random(r, digits)
	digits[3], digits[4] = 0, 0
	spoil(digits, func(d []int) bool { return businessCheck([10]int(d)) })
	return fill(value, digits)
}

func reservedBusiness(value string) bool {
	d := digitsIn(value)
	return len(d) == 10 && d[3] == 0 && d[4] == 0
}

// makeCorporation makes a corporation number of the form 99, which is none, with
// a wrong check digit.
func makeCorporation(r *rand.Rand, value string) (string, bool) {
	digits := digitsIn(value)
	if len(digits) != 13 {
		return "", false
	}
	random(r, digits)
	digits[4], digits[5] = 9, 9
	spoil(digits, func(d []int) bool { return corporateCheck([13]int(d)) })
	return fill(value, digits)
}

func reservedCorporation(value string) bool {
	d := digitsIn(value)
	return len(d) == 13 && d[4] == 9 && d[5] == 9
}

// makePassport makes a number that begins with X, as no Korean passport does.
// Those of other countries have no form that is nobody's.
func makePassport(r *rand.Rand, value string) (string, bool) {
	if len(value) != 9 || !strings.ContainsRune("MSROD", rune(value[0])) {
		return "", false
	}
	out := []byte(value)
	out[0] = 'X'
	for i := 1; i < len(out); i++ {
		if out[i] >= '0' && out[i] <= '9' {
			out[i] = byte('0' + r.IntN(10))
		} else {
			out[i] = byte('A' + r.IntN(26))
		}
	}
	return string(out), true
}

// makeDriver makes a licence of the region 99, which is none.
func makeDriver(r *rand.Rand, value string) (string, bool) {
	digits := digitsIn(value)
	if len(digits) != 12 {
		return "", false
	}
	random(r, digits)
	digits[0], digits[1] = 9, 9
	return fill(value, digits)
}

func reservedDriver(value string) bool {
	d := digitsIn(value)
	return len(d) == 12 && d[0] == 9 && d[1] == 9
}

// makeSSN makes a number of the area 000, which is never given out.
func makeSSN(r *rand.Rand, value string) (string, bool) {
	digits := digitsIn(value)
	if len(digits) != 9 {
		return "", false
	}
	random(r, digits)
	digits[0], digits[1], digits[2] = 0, 0, 0
	return fill(value, digits)
}

func reservedSSN(value string) bool {
	d := digitsIn(value)
	return len(d) == 9 && d[0] == 0 && d[1] == 0 && d[2] == 0
}

// makeCard makes a card that begins with 0, which ISO/IEC 7812 gives to no
// payment card, with a wrong check digit.
func makeCard(r *rand.Rand, value string) (string, bool) {
	digits := digitsIn(value)
	if len(digits) < 13 {
		return "", false
	}
	random(r, digits)
	digits[0] = 0
	spoil(digits, luhn)
	return fill(value, digits)
}

func reservedCard(value string) bool {
	d := digitsIn(value)
	return len(d) >= 13 && d[0] == 0 && !luhn(d)
}

// makeBank makes an account that begins with 000, as those of no bank do.
func makeBank(r *rand.Rand, value string) (string, bool) {
	digits := digitsIn(value)
	if len(digits) < 10 {
		return "", false
	}
	random(r, digits)
	copy(digits, []int{0, 0, 0})
	return fill(value, digits)
}

// makeIBAN makes one with the check digits 00, which are never right.
func makeIBAN(r *rand.Rand, value string) (string, bool) {
	n := 0
	return strings.Map(func(c rune) rune {
		letter, digit := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z', c >= '0' && c <= '9'
		if letter || digit {
			n++
		}
		switch {
		case n <= 2 || !letter && !digit:
			return c
		case n <= 4:
			return '0'
		case digit:
			return rune('0' + r.IntN(10))
		}
		return rune('A' + r.IntN(26))
	}, value), true
}

func reservedIBAN(value string) bool {
	d := digitsIn(value)
	return len(d) > 2 && d[0] == 0 && d[1] == 0
}

// makePlate makes a plate of the class 00, which is none.
func makePlate(r *rand.Rand, value string) (string, bool) {
	digits := digitsIn(value)
	if len(digits) != 6 && len(digits) != 7 {
		return "", false
	}
	random(r, digits)
	copy(digits, []int{0, 0, 0}[:len(digits)-4])
	return fill(value, digits)
}

func reservedPlate(value string) bool {
	d := digitsIn(value)
	return (len(d) == 6 || len(d) == 7 && d[2] == 0) && d[0] == 0 && d[1] == 0
}

// makeCase makes a case whose serial number is higher than any court counts in a
// year: 99 and five digits.
func makeCase(r *rand.Rand, value string) (string, bool) {
	serial := strings.LastIndexFunc(strings.TrimRight(value, "호 "), func(c rune) bool { return c < '0' || c > '9' }) + 1
	for serial > 0 && serial < len(value) && value[serial]&0xC0 == 0x80 { // behind the whole rune
		serial++
	}
	end := serial
	for end < len(value) && value[end] >= '0' && value[end] <= '9' {
		end++
	}
	if serial == 0 || end == serial {
		return "", false
	}
	return value[:serial] + fmt.Sprintf("99%05d", r.IntN(100_000)) + value[end:], true
}

func reservedCase(value string) bool {
	i := strings.LastIndexFunc(value, func(c rune) bool { return c >= hangulBase && c < hangulBase+hangulCount && c != '호' })
	d := digitsIn(value[max(0, i):])
	return len(d) == 7 && d[0] == 9 && d[1] == 9
}

// makePostcode makes one that begins with 000; those of Korea begin at 01000. Old ones, of
// six digits, and those of other countries are left to tokens.
func makePostcode(r *rand.Rand, value string) (string, bool) {
	digits := digitsIn(value)
	if len(digits) != 5 {
		return "", false
	}
	random(r, digits)
	digits[0], digits[1], digits[2] = 0, 0, 0
	return fill(value, digits)
}

func reservedPostcode(value string) bool {
	d := digitsIn(value)
	return len(d) == 5 && d[0] == 0 && d[1] == 0 && d[2] == 0
}

// Addresses of machines for documentation: RFC 5737, RFC 3849, RFC 7042.
var testNets = []netip.Prefix{
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32"),
}

func makeIP(r *rand.Rand, value string) (string, bool) {
	a, err := netip.ParseAddr(value)
	if err != nil {
		return "", false
	}
	if a.Is4() {
		b := testNets[r.IntN(3)].Addr().As4()
		b[3] = byte(1 + r.IntN(254))
		return netip.AddrFrom4(b).String(), true
	}
	return fmt.Sprintf("2001:db8::%x:%x", 1+r.IntN(0xFFFE), 1+r.IntN(0xFFFE)), true
}

func reservedIP(value string) bool {
	a, err := netip.ParseAddr(value)
	for _, p := range testNets {
		if err == nil && p.Contains(a) {
			return true
		}
	}
	return false
}

func makeMAC(r *rand.Rand, value string) (string, bool) {
	if len(value) != 17 {
		return "", false
	}
	sep := value[2:3]
	return strings.Join([]string{"00", "00", "5E", "00", "53", fmt.Sprintf("%02X", r.IntN(256))}, sep), true
}

func reservedMAC(value string) bool {
	return len(value) == 17 && strings.EqualFold(strings.ReplaceAll(value, value[2:3], "")[:min(10, len(value)-5)], "00005E0053")
}
