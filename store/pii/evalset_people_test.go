package pii_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// person is an invented person: each part is drawn alone.
type person struct {
	surname, given           string // in Hangul
	foreign, english, kviet  string
	englishFirst, englishEnd string
	romanStyle               int
}

// values are the lists that people and places are drawn from. Each half of the set
// has its own, so that a name put into a rule's list for the one half does not
// help the other. Surnames are a closed list, and shared.
type values struct {
	given, shortGiven, longGiven []string
	foreign                      []string // names as in an alien registration
	foreignHangul                []string // as Koreans write them
	englishFirst, englishLast    []string
	places                       []place
	villages                     [][4]string // province, county or city, township, hamlet
	buildings                    []string
	streets, towns, romanPlaces  []string // of addresses in English
}

// common stands for about six in ten Koreans, rare for most of the others: the
// set leans to rare surnames, since these are what rules forget.
var (
	commonSurnames = strings.Fields("김 김 김 김 이 이 이 박 박 최 최 정 강 조 윤 장 임 한 오 서 신 권 황 안 송 류 전 홍 고 문 양 손 배 백 허 유 남 심 노 하")
	rareSurnames   = strings.Fields("곽 성 차 주 우 구 민 진 나 지 엄 채 원 천 방 공 현 함 변 염 여 추 도 소 석 선 설 마 길 연 위 표 명 기 반 라 왕 금 옥 육 인 맹 제 모 탁 국 어 은 편 용 예 경 봉 사 부 가 복 태 목 형 피 두 감 음 빈 동 온 호 범 좌 팽 승 간 상 갈 단 견 당")
	longSurnames   = strings.Fields("남궁 황보 제갈 선우 독고 사공 서문 동방")
)

// syllables gives every syllable of the names above in hanja and in Latin
// letters. Names in pure Korean words have no hanja in life; here they get some,
// as do all names in a form that asks for it.
var syllables = func() map[string][2]string {
	m := map[string][2]string{}
	f := strings.Fields(`
		김 金 Kim 이 李 Lee 박 朴 Park 최 崔 Choi 정 鄭 Jung 강 姜 Kang 조 趙 Cho 윤 尹 Yoon 장 張 Jang 임 林 Lim 한 韓 Han 오 吳 Oh
		서 徐 Seo 신 申 Shin 권 權 Kwon 황 黃 Hwang 안 安 Ahn 송 宋 Song 류 柳 Ryu 전 全 Jeon 홍 洪 Hong 고 高 Ko 문 文 Moon 양 梁 Yang
		손 孫 Son 배 裵 Bae 백 白 Baek 허 許 Heo 유 劉 Yoo 남 南 Nam 심 沈 Shim 노 盧 Noh 하 河 Ha 곽 郭 Kwak 성 成 Sung 차 車 Cha
		주 朱 Joo 우 禹 Woo 구 具 Koo 민 閔 Min 진 陳 Jin 나 羅 Na 지 池 Ji 엄 嚴 Eom 채 蔡 Chae 원 元 Won 천 千 Cheon 방 方 Bang
		공 孔 Kong 현 玄 Hyun 함 咸 Ham 변 邊 Byun 염 廉 Yeom 여 呂 Yeo 추 秋 Choo 도 都 Do 소 蘇 So 석 石 Seok 선 宣 Sun 설 薛 Seol
		마 馬 Ma 길 吉 Gil 연 延 Yeon 위 魏 Wi 표 表 Pyo 명 明 Myung 기 奇 Ki 반 潘 Ban 라 羅 Ra 왕 王 Wang 금 琴 Keum 옥 玉 Ok 육 陸 Yook
		인 印 In 맹 孟 Maeng 제 諸 Je 모 牟 Mo 탁 卓 Tak 국 鞠 Kuk 어 魚 Eo 은 殷 Eun 편 片 Pyun 용 龍 Yong 예 芮 Ye 경 慶 Kyung 봉 奉 Bong
		사 史 Sa 부 夫 Boo 가 賈 Ka 복 卜 Bok 태 太 Tae 목 睦 Mok 형 邢 Hyung 피 皮 Pi 두 杜 Doo 감 甘 Kam 음 陰 Eum 빈 賓 Bin 동 董 Dong
		온 溫 On 호 扈 Ho 범 范 Bum 좌 左 Jwa 팽 彭 Paeng 승 承 Seung 간 簡 Kan 상 尙 Sang 갈 葛 Gal 단 段 Dan 견 甄 Kyun 당 唐 Dang
		궁 宮 gung 보 甫 bo 독 獨 Dok 준 俊 jun 시 時 si 후 厚 hoo 건 建 gun 수 秀 soo 아 雅 ah 다 多 da 율 律 yul 린 潾 rin
		훈 勳 hoon 재 宰 jae 혁 赫 hyuk 영 永 young 병 炳 byung 철 哲 chul 대 大 dae 종 鍾 jong 혜 惠 hye 미 美 mi 숙 淑 sook 순 順 soon
		자 子 ja 희 姬 hee 말 末 mal 춘 春 chun 례 禮 rye 광 光 kwang 만 萬 man 식 植 sik 덕 德 deok 필 弼 pil 창 昌 chang 학 學 hak
		일 一 il 충 忠 choong 람 藍 ram 래 來 rae 솜 率 som 슬 瑟 seul 름 凜 reum 결 潔 gyul 새 璽 sae 롬 論 rom 비 妃 bi 늘 訥 neul
		봄 範 bom 누 樓 nu 리 利 ri 초 草 cho 롱 瓏 rong 으 恩 eu 뜸 得 tteum 겨 潔 gyeo 레 禮 re 힘 欣 him 찬 燦 chan 울 蔚 ul 해 海 hae
		로 路 ro 운 雲 woon 환 煥 hwan 욱 旭 wook 판 判 pan 분 粉 bun 점 點 jeom 바 波 ba 샛 賽 saet 을 乙 eul 루 鏤 ru 푸 芙 pu 른 綸 reun
		솔 率 sol 담 潭 dam 빛 彬 bit 벽 碧 byeok 별 別 byeol`)
	for i := 0; i < len(f); i += 3 {
		m[f[i]] = [2]string{f[i+1], f[i+2]}
	}
	return m
}()

func newPerson(d *draw) person {
	p := person{romanStyle: d.IntN(4)}
	switch n := d.IntN(100); {
	case n < 60:
		p.surname = d.pick(commonSurnames)
	case n < 95:
		p.surname = d.pick(rareSurnames)
	default:
		p.surname = d.pick(longSurnames)
	}
	switch n := d.IntN(100); {
	case n < 92 || utf8.RuneCountInString(p.surname) > 1:
		p.given = d.pick(d.given)
	case n < 98:
		p.given = d.pick(d.shortGiven)
	default:
		p.given = d.pick(d.longGiven)
	}
	p.foreign, p.kviet = d.pick(d.foreign), d.pick(d.foreignHangul)
	p.englishFirst, p.englishEnd = d.pick(d.englishFirst), strings.ReplaceAll(d.pick(d.englishLast), "St.C", "St. C")
	p.english = p.englishFirst + " " + p.englishEnd
	if d.IntN(6) == 0 {
		p.english = p.englishFirst + " " + string(rune('A'+d.IntN(26))) + ". " + p.englishEnd
	}
	return p
}

func (p person) name() string { return p.surname + p.given }

func (p person) spaced() string { return strings.Join(strings.Split(p.name(), ""), " ") }

// written maps each syllable of s to its hanja (0) or Latin letters (1).
func written(s string, script int, between string) string {
	var parts []string
	for _, r := range s {
		if part, ok := syllables[string(r)]; ok {
			parts = append(parts, part[script])
		} else {
			parts = append(parts, string(r))
		}
	}
	return strings.Join(parts, between)
}

// givenHanja is for syllables that are written otherwise in a given name than as
// a surname.
var givenHanja = strings.NewReplacer(strings.Fields(`민 玟 서 瑞 지 智 우 宇 연 姸 현 賢 진 珍 하 夏 채 彩 원 媛 은 恩 경 京 정 貞 호 浩 선 善
	기 基 용 勇 금 今 도 道 주 珠 유 裕 윤 潤 예 藝 소 昭 한 漢 동 東 태 泰 석 錫 상 相 인 仁 배 培 두 斗 나 娜 마 麻 가 佳 라 羅 온 溫`)...)

func (p person) hanja() string {
	return written(p.surname, 0, "") + written(givenHanja.Replace(p.given), 0, "")
}

func capital(s string) string { return strings.ToUpper(s[:1]) + strings.ToLower(s[1:]) }

func (p person) roman() string {
	surname := capital(written(p.surname, 1, ""))
	hyphened, joined := capital(written(p.given, 1, "-")), capital(written(p.given, 1, ""))
	return []string{surname + " " + hyphened, surname + " " + joined, hyphened + " " + surname, joined + " " + surname}[p.romanStyle]
}

func (p person) romanSurname() string { return strings.ToUpper(written(p.surname, 1, "")) }
func (p person) romanGiven() string   { return strings.ToUpper(written(p.given, 1, "")) }

func (p person) romanCapitals() string { return p.romanSurname() + " " + p.romanGiven() }

// TestInventedNames holds that no name lacks a syllable in the table above.
func TestInventedNames(t *testing.T) {
	var names []string
	for _, v := range []values{devValues, heldOutValues} {
		names = slices.Concat(names, v.given, v.shortGiven, v.longGiven)
	}
	for _, name := range slices.Concat(commonSurnames, rareSurnames, longSurnames, names) {
		for _, r := range name {
			if syllables[string(r)][0] == "" {
				t.Errorf("the table of syllables lacks %c of %s", r, name)
			}
		}
	}
}
