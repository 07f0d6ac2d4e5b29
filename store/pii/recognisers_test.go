package pii_test

import (
	"strings"
	"testing"

	"cloister/store/pii"
)

// want checks that exactly the marked stretches of each text are found.
func want(t *testing.T, m *pii.Masker, texts []string) {
	t.Helper()
	for _, text := range texts {
		plain, spans := unmark(text)
		var got []string
		for _, f := range m.Find(plain) {
			got = append(got, f.Entity+"|"+plain[f.Start:f.End])
		}
		if g, w := strings.Join(got, "\n"), strings.Join(spans, "\n"); g != w {
			t.Errorf("%q\nfound:\n%s\nwant:\n%s", plain, g, w)
		}
	}
}

func unmark(text string) (plain string, spans []string) {
	for _, m := range marked.FindAllStringSubmatch(text, -1) {
		spans = append(spans, m[1]+"|"+m[2])
	}
	return marked.ReplaceAllString(text, "$2"), spans
}

func TestNumbers(t *testing.T) {
	want(t, newMasker(t, pii.Options{}), []string{
		// resident numbers: the check digit never rejects
		"주민등록번호 {KR_RRN|900101-1234568}", "주민등록번호는 {KR_RRN|9001011234567}입니다", "{KR_RRN|051231-4234567}이야",
		"{KR_RRN|900101-1******}", "주민번호 {KR_RRN|900101-*******}",
		"900132-1234567", "1700000000000",
		// who is born when: 2011 as a man of 1911 is rather a corporation
		"외국인등록번호 {KR_FRN|900101-5234567}",
		"법인등록번호 {KR_CRN|110111-1234569}", "법인등록번호: {KR_CRN|134511-0012345}",
		"사업자등록번호 {KR_BRN|220-81-62517}", "사업자번호 {KR_BRN|2208162517}", "코드 220-81-62518",
		// passports and licences
		"여권 {KR_PASSPORT|M12345678}", "{KR_PASSPORT|M123A4567}", "부품 AM12345678", "모델번호 S12345678",
		"{KR_DRIVER_LICENSE|11-22-333333-44}", "{KR_DRIVER_LICENSE|경기 99-123456-01}", "10-22-333333-44",
		// telephones
		"{PHONE|010-1234-5678}", "{PHONE|(02) 123-4567}", "{PHONE|02)123-4567}로", "{PHONE|+82 10-1234-5678}", "{PHONE|+82 (0)10-1234-5678}",
		"{PHONE|1588-3366}", "{PHONE|0507-1234-5678}", "{PHONE|080-123-4567}", "{PHONE|+44 20 7946 0958}", "{PHONE|(212) 555-0142}",
		"전화 {PHONE|234-5678}", "Tel: {PHONE|555-0142}", "{PHONE|1-800-555-0199}",
		"임진왜란 1592-1598", "1-2345-6789-01", "2024-0312-0098", "3.141-592-6535",
		// glued, wrapped, disguised
		"{KR_RRN|900101-1234568}{PHONE|010-1234-5678}", "{PHONE|010-1234-\n5678}", "{PHONE|０１０ー１２３４ー５６７８}",
		"{PHONE|٠١٠-١٢٣٤-٥٦٧٨}", "{PHONE|O1O-1234-56l8}", "{PHONE|010-1\u03362\u033634-5678}", "{PHONE|01012345678}\u200b{PHONE|01098765432}",
		"{PHONE|010·1234·5678}", "{PHONE|0 1 0 1 2 3 4 5 6 7 8}",
		// cards, accounts
		"{CREDIT_CARD|4111 1111 1111 1111}", "{CREDIT_CARD|378282246310005}", "카드번호 {CREDIT_CARD|4111-1111-1111-1112}", "4111 1111 1111 1112", "카드번호 0000-0000-0000-0000",
		"국민은행 {KR_BANK_ACCOUNT|123456-04-123456}", "계좌번호 {KR_BANK_ACCOUNT|1002-123-456789}", "123456-04-123456",
		"{IBAN|DE89370400440532013000}", "{IBAN|GB29 NWBK 6016 1331 9268 19}", "DE88370400440532013000",
		"SSN {US_SSN|536-22-1234}", "SSN: {US_SSN|536221234}", "666-22-1234", "000-12-3456", "900-12-3456",
		"건강보험증번호 {KR_HEALTH_INSURANCE|12345678901}", "12345678901",
	})
}

func TestDocuments(t *testing.T) {
	want(t, newMasker(t, pii.Options{}), []string{
		// plates
		"{KR_VEHICLE_PLATE|12가3456}", "{KR_VEHICLE_PLATE|123하 4567}", "{KR_VEHICLE_PLATE|서울 12 가 3456}", "차량 {KR_VEHICLE_PLATE|291조 9000}",
		"12장 3456", "291조 9000억 원", "종로3가 1234",
		// cases
		"{KR_COURT_CASE|2023가합12345}", "{KR_COURT_CASE|2023 가합 12345}", "{KR_COURT_CASE|2023헌바12}", "{KR_COURT_CASE|2021재나123}", "대법원 {KR_COURT_CASE|99다12345}",
		"{KR_COURT_CASE|2024년 형제12345호}", "2023년 12월", "2023개 12345건", "2023다 12345",
		// record numbers need a label
		"환자번호: {MEDICAL_RECORD_NO|MR-1234567}", "MRN {MEDICAL_RECORD_NO|00123456}", "주문번호 12345678", "등록번호는 {MEDICAL_RECORD_NO|12345678}로",
		"의사면허번호 제{LICENSE_NO|12345}호", "변호사 (등록번호 {LICENSE_NO|12345})",
		// addresses of machines
		"{EMAIL|first.last+tag@sub.example.co.kr}입니다", "a@b", "user@", "{IP_ADDRESS|192.168.0.12}", "v1.2.3.4", "버전 10.2.33.4", "256.1.1.1", "1.2.3.4.5",
		"{IP_ADDRESS|fe80::1ff:fe23:4567:890a}", "12:30:45", "std::vector", "{MAC_ADDRESS|00:1A:2B:3C:4D:5E}", "{URL|https://example.org/a?b=c}.", "{URL|www.example.org}에서",
		// secrets
		"password: {SECRET|Tr0ub4dor&3}", "비밀번호: 변경 요청", "api_key={SECRET|a8f5f167f44f4964e6c998de}", "{SECRET|ghp_abcdefghijklmnopqrstuvwxyz0123456789}",
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
		"{SECRET|-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----}",
		// days
		"생년월일 {DATE_OF_BIRTH|1985. 3. 12.}", "{DATE_OF_BIRTH|1985년 3월 12일}생", "{DATE_OF_BIRTH|85.03.12}생", "생년월일: {DATE_OF_BIRTH|850312}", "DOB {DATE_OF_BIRTH|03/12/1985}", "born on {DATE_OF_BIRTH|March 12, 1985}",
		"{DATE|2024-03-12}에 입원", "{DATE|12th of March 2024}", "시행일 2024-03-12", "구 의료법(2008. 2. 29. 법률 제8852호로 개정되기 전의 것)", "2024-13-12", "850312", "2024년 3월",
		"감사기간 2026. 3. 1. ~ 2026. 4. 30.",
	})
}

func TestAddresses(t *testing.T) {
	want(t, newMasker(t, pii.Options{}), []string{
		"{ADDRESS|서울특별시 강남구 테헤란로 152, 12층 1203호}입니다", "{ADDRESS|경기도 성남시 분당구 판교역로 235 (삼평동, 에이치스퀘어)}",
		"{ADDRESS|강남구 역삼동 823-45}에서", "{ADDRESS|서울 서초구 반포대로 12길 34, 101동 1203호}", "{ADDRESS|전남 순천시 해룡면 신대리 123-4}",
		"{ADDRESS|서울 종로구 종로1가 24}", "{ADDRESS|(06236) 서울 강남구 테헤란로 152}", "{ADDRESS|부산 해운대구 우동 1408 해운대아이파크 101동 2304호}",
		"주소: {ADDRESS|서울특별시 강남구}", "주소: {ADDRESS|서울 강남구} 어딘가", "주소: {ADDRESS|서울 강남구} 어딘가에", "주소 : {ADDRESS|역삼동 823-45}", "{ADDRESS|제주시 한림읍 한림로 12}에 거주",
		"서울특별시 강남구는 인구가 많다", "중구난방", "강남대로 3km 구간", "세종대로 2024년 계획", "활동 3가지",
		"{ADDRESS|1600 Pennsylvania Ave NW, Washington, DC 20500}", "{ADDRESS|221 Baker Street}", "{ADDRESS|350 5th Avenue, New York, NY 10118}",
		"{ADDRESS|P.O. Box 123, Albany, NY 12201}", "{ADDRESS|123, Teheran-ro, Gangnam-gu, Seoul, Korea}", "we walked 3 Miles down the Road", "12 Angry Men",
	})
}

func TestNames(t *testing.T) {
	want(t, newMasker(t, pii.Options{}), []string{
		// labels, roles, titles, particles; the particle stays outside
		"성명: {PERSON|구윤탁}", "환자 {PERSON|배지욱}은 퇴원하였다", "{PERSON|천우희} 씨가", "{PERSON|천우희}씨의", "{PERSON|마동석}에게 전했다",
		"담당의 {PERSON|남궁혁} 교수", "예금주: {PERSON|독고진}", "{PERSON|허준} 원장님", "원고 {PERSON|황보미르}와 피고 {PERSON|탁현}", "이름 : {PERSON|홍 길 동}",
		"{PERSON|국선호} 드림", "{PERSON|어수경}(남, 45세)", "{PERSON|홍길동}({PERSON|洪吉童})", "성    명   {PERSON|반기태}",
		"{PERSON|봉준영}이가 그랬어", "제 이름은 {PERSON|계수연}입니다",
		// no names
		"김포시는 이화여대와 협약했다", "박사과정 학생", "김부장이 이사장에게", "박씨와 김모씨", "○○○ 씨", "이부프로펜과 오메프라졸", "유방암 환자의 상태는",
		"정도가 심하면 강도를 낮춘다", "조사 중이다", "환자 안전 관리", "피고는 이유 없다고 다툰다", "보호자 동의서를 받는다", "원고 주장의 요지", "담당자에게 문의하세요",
		"선생님께 여쭤보세요", "고객님의 주문", "이상 없음", "주의를 요한다", "강남역에서 만나", "하나은행과 신한은행", "우리는 사랑과 온유를 배운다", "이번 주에는 조용히", "전화번호를 변경해야 합니다",
		"배우자가 양도하는 경우", "조합원의 이주비", "장기 손상", "임신한 여성은 임의로 복용하지 마세요", "최소한의 조치", "청구인 OOO에게",
		// Latin letters
		"Dr. {PERSON|Anneliese Vogt}", "Dear Mr. {PERSON|Okonkwo},", "Patient {PERSON|Maria Delgado} was seen", "Sincerely,\n{PERSON|Peter Novak}", "{PERSON|James O'Connor} called",
		"Name: {PERSON|HONG GILDONG}", "{PERSON|Kim Min-su}는", "my name is {PERSON|maria lopez}", "{PERSON|Ludwig van Beethoven}, MD",
		"May I help you on Monday?", "Will the office be open?", "Grant Park is closed", "Johns Hopkins Hospital", "Lake Street Clinic", "Black Friday", "The Chase Building", "Spring Valley",
		"Microsoft Windows Server", "Blue Cross", "General Hospital", "See Section Four", "Happy New Year", "Dear Customer,", "Dear Sir or Madam,", "Mr. President",
	})
}

// TestNameAgain masks a name that is certain in one place wherever else it stands.
func TestNameAgain(t *testing.T) {
	m := newMasker(t, pii.Options{})
	want(t, m, []string{
		"피고인 {PERSON|육갑수}는 범행을 부인한다. {PERSON|육갑수}의 진술은 믿기 어렵다.",
		"Dr. {PERSON|Amara Okafor} signed. {PERSON|Okafor} left at noon.",
	})
	texts := []string{"누가 {PERSON|육갑수} 건을 맡았나요?", "의뢰인 {PERSON|육갑수}의 사건은 김 변호사가 맡았습니다."}
	a, _ := unmark(texts[0])
	b, _ := unmark(texts[1])
	if n := len(m.Find(a)); n != 0 {
		t.Fatalf("alone, the first text has %d findings; the test needs one without", n)
	}
	masked, _, err := m.MaskRecord([]string{a, b})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"누가 <PERSON_1> 건을 맡았나요?", "의뢰인 <PERSON_1>의 사건은 김 변호사가 맡았습니다."} {
		if masked[i].String() != want {
			t.Errorf("text %d is %q, want %q", i, masked[i], want)
		}
	}
}

// TestLists finds names that only the names beside them vouch for.
func TestLists(t *testing.T) {
	want(t, newMasker(t, pii.Options{}), []string{
		"위원 {PERSON|김상철}, {PERSON|정해일}, {PERSON|최고은}", "{PERSON|강예진} 대리·{PERSON|연제호}·{PERSON|진달래}", "1번 {PERSON|김나영}(내과)\n2번 {PERSON|배석류}(외과)\n3번 {PERSON|최고은}(안과)",
		"본인은 {PERSON|전미도}와 {PERSON|정문성}이 다투는 것을 보았다", "{PERSON|최승효} 과장 → {PERSON|배석류}",
		"Present: {PERSON|Joanna Whitaker}, {PERSON|Zxandra Quillmere} and {PERSON|Tom Becker}",
		"김포, 정읍, 최북단", "위원 {PERSON|김상철}, 이사회, 노동조합",
		// and other forms of names
		"{PERSON|윤서}야 뭐해?", "{PERSON|김지안} 씨 왔어? {PERSON|지안}이도 온대", "{PERSON|기태영}({PERSON|奇泰榮})", "Name: {PERSON|Okonkwo, Chidi B.}", "{PERSON|Kevin G. Underhill} called", "쩐 반 민 학교", "{PERSON|쩐 반 민} 씨가",
	})
}

// TestBirths tells births from other days by what stands before them.
func TestBirths(t *testing.T) {
	want(t, newMasker(t, pii.Options{}), []string{
		"계약자 {PERSON|김민서} ({DATE_OF_BIRTH|1955-04-23})", "{PERSON|오승우} {DATE_OF_BIRTH|1940-06-06} 열람", "결재 {PERSON|전효숙} {DATE|2024. 3. 8.}",
		"생년월일 부탁드립니다.\n고객: {DATE_OF_BIRTH|1939년 4월 2일}이에요.", "주민등록번호 등 {DATE_OF_BIRTH|1966-09-27}", "patientBirthDate={DATE_OF_BIRTH|19650208}", "생 년월일 : {DATE_OF_BIRTH|2004-07-05}",
	})
}

// TestCharts finds patients' numbers without a label, and tells numbers behind
// 등록번호 by their shape.
func TestCharts(t *testing.T) {
	want(t, newMasker(t, pii.Options{}), []string{
		"환자: {PERSON|연말순} ({MEDICAL_RECORD_NO|20677628})", "Pt. {PERSON|손원일} (M/59, {MEDICAL_RECORD_NO|20674250})", "성명 {PERSON|김민서} ID {MEDICAL_RECORD_NO|20674250}", "승인번호 30018821, 예금주 {PERSON|승희재}",
		"등록번호 : {KR_BRN|694-48-53100}", "등록번호 {KR_RRN|900101-1234568}", "등록번호 {MEDICAL_RECORD_NO|10482937}",
	})
}

// TestTables reads the fields below a header by its labels.
func TestTables(t *testing.T) {
	want(t, newMasker(t, pii.Options{}), []string{
		"이름,전화\n{PERSON|서연준},{PHONE|01023456789}\n",
		"번호\t환자명\t차트번호\n1\t{PERSON|옥빛나}\t{MEDICAL_RECORD_NO|20193}\n2\t{PERSON|빈하린}\t{MEDICAL_RECORD_NO|20194}",
		"| 성명 | 생년월일 |\n|---|---|\n| {PERSON|가수원} | {DATE_OF_BIRTH|900101} |",
		"name;mrn\n{PERSON|Zofia Wójcik};{MEDICAL_RECORD_NO|88211}",
		"품목,수량\n이부프로펜,20",
	})
}

// TestNewDocuments are the entities of letters, vehicles and keys.
func TestNewDocuments(t *testing.T) {
	want(t, newMasker(t, pii.Options{}), []string{
		"전화 {PHONE|02-345-6789} 팩스 {FAX|02-345-6780}", "Fax: {FAX|(212) 555-0143}", "T. {PHONE|031-245-1100} F. {FAX|031-245-1101}",
		"우편번호 {POSTCODE|06236}", "우편번호: {POSTCODE|135-080}", "(우 {POSTCODE|03187})", "ZIP code: {POSTCODE|60614-1234}", "{ADDRESS|(06236) 서울 강남구 테헤란로 152}", "항목 12345건",
		"문서번호: {DOC_ID|총무과-2024-118}", "시행 {DOC_ID|의료정책과-1234} ({DATE|2024. 5. 6.})", "공정증서 {DOC_ID|2024년 제381호} 정본", "증권번호 {DOC_ID|L2024-0019283}", "Policy No. {DOC_ID|HX-2201934}", "주문번호 2024-118",
		"차대번호 {VIN|KMHEC41DBEA123456}", "{VIN|1M8GDM9AXKP042788}", "1M8GDM9AXKP042789", "코드 ABCDEFGH123456789",
		"Authorization: Bearer {SECRET|abcdEFGH12345678ijkl}", "DSN={URL|postgres://app}:{SECRET|s3cr-et}@x", "{SECRET|xoxb-123456789012-abcdefghijkl}", "{SECRET|123456789:AAabcdefghijklmnopqrstuvwxyz0123456}",
		"{SECRET|glpat-abcdefghij0123456789}", "sk-learn-contrib-of-somebody", "the bearer of this letter", "basic understanding of things",
	})
}
