package pii

import "strings"

// surnameHanja are the characters of the usual surnames.
const surnameHanja = "金李朴崔鄭丁姜康趙曺尹張林任韓吳徐申愼辛權黃安宋柳劉兪庾洪全田錢高文孫梁楊樑裵裴白許南沈盧魯河夏郭成星車朱周禹具仇羅閔陳晉眞池嚴蔡元袁千方邦孔玄咸邊卞廉呂余秋都道蘇石昔碩宣薛馬吉延魏表明奇箕潘班王琴玉陸印孟諸牟毛卓鞠國魚殷片扁龍芮慶景奉史舍夫賈卜太睦邢皮杜甘陰賓董溫承簡尙南宮皇甫諸葛鮮于獨孤司空西門"

// findHanNames finds names in Chinese characters: behind a label or a role, in
// parentheses behind a Korean name, or before a title.
func findHanNames(d *doc, rec *recogniser) {
	for _, at := range d.hans {
		start := int(at)
		end := start
		for end < len(d.r) && d.cls[end] == cHan && end-start < 5 {
			end++
		}
		if n := end - start; n < 2 || n > 4 || !strings.ContainsRune(surnameHanja, d.r[start]) {
			continue
		}
		switch {
		case d.label(start)&kName != 0:
			d.add(rec, start, end, 0.9, "label, surname in Chinese characters")
		case d.inGloss(start, end):
			d.add(rec, start, end, 0.8, "name in Chinese characters")
		case d.hasPrefix(end, "氏") || d.hasPrefix(end, "先生") || d.hasPrefix(end, "씨") || d.hasPrefix(end, " 씨") || d.hasPrefix(end, "님"):
			d.add(rec, start, end, 0.8, "title, surname in Chinese characters")
		default:
			if h := d.hitEndingAt(d.blanksBefore(start)); h != nil && h.kind&kRole != 0 {
				d.add(rec, start, end, 0.75, "role, surname in Chinese characters")
			}
		}
	}
}

// inGloss says whether r[start:end] stands in parentheses behind a Korean name:
// "홍길동(洪吉童)".
func (d *doc) inGloss(start, end int) bool {
	if d.at(start-1) != '(' || d.at(end) != ')' && d.at(end) != ',' {
		return false
	}
	p := d.blanksBefore(start - 1)
	if d.class(p-1) == cToken {
		return d.r[p-1] == personToken
	}
	q := p
	for q > 0 && p-q < 6 && d.cls[q-1] == cHangul {
		q--
	}
	return p-q >= 2 && p-q <= 5 && d.bestNameAbove(koreanNames(), q, p, weakest).weight > weakest
}
