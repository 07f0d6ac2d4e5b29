package pii_test

import (
	"testing"

	"cloister/store/pii"
)

// TestQuasi finds what singles nobody out by itself, and only when asked.
func TestQuasi(t *testing.T) {
	texts := []string{
		"성명 : {PERSON|표옥분} 성별/나이 : 여/{AGE|78}", "{PERSON|어수경}(남, {AGE|45세})", "환자는 만 {AGE|63세} 여자로", "M/{AGE|63}", "a {AGE|72-year-old} man", "{OLD_AGE|93세} 노인",
		"만 19세 이상만 가입할 수 있다", "21세기와 3세대", "65세 미만", "40세 이상 여성에게 권고", "adults 18 years or older",
		"{PERSON|방지혁} {POSITION|주무관}", "직급: {POSITION|선임연구원}", "{POSITION|과장} {PERSON|국선호}", "이름,직책\n{PERSON|서연준},{POSITION|팀장}",
		"최종학력: {EDUCATION|한빛대학교 법학과 졸업}", "{EDUCATION|다온고등학교 졸업} 후 입사했다", "이화여자대학교는 문을 열었다",
		"국적: {NATIONALITY|베트남}", "{NATIONALITY|우즈베키스탄} 국적의 근로자", "a {NATIONALITY|Filipino} national", "{NATIONALITY|네팔인} 노동자",
	}
	want(t, newMasker(t, pii.Options{Entities: append(pii.QuasiEntities(), pii.OldAge, pii.Person)}), texts)
	m := newMasker(t, pii.Options{Entities: pii.DefaultEntities()})
	for _, f := range m.Find("성별/나이 : 여/78, 직급: 선임연구원, 국적: 베트남, 학력: 고졸") {
		t.Errorf("found a %s, which nobody asked for", f.Entity)
	}
}
