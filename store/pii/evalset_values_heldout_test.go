package pii_test

import "strings"

// heldOutValues fill the held-out half. Whoever writes rules does not read this
// file.
var heldOutValues = values{
	given: strings.Fields(`
		민재 시윤 지안 이준 로운 하람 태윤 준호 지환 승민 시현 은찬 재윤 유찬 하율 서아 지율 나은 아린 윤아 시아 예나 채은 유나 다연 서율
		태호 성훈 영진 상현 재호 형준 진호 동욱 경민 광호 승환 정환 기욱 종민 은지 지현 미영 은주 현주 경아 유진 소영 정민 보영 희정 승희
		영길 병수 춘식 대식 만수 용길 순철 기철 판석 두식 상길 복동 복자 영희 정순 옥자 금자 말자 순옥 분이 점순 연자 숙자 정자
		바다 은하 샛별 노을 마루 가온 도담 여름 소담 한울`),
	shortGiven: strings.Fields("준 민 석 욱 윤 승 호 원 별 환"),
	longGiven:  strings.Fields("아름솔 푸른솔 한가람"),
	foreign: []string{
		"Do Thi Kim Ngan", "HOANG VAN TUAN", "Bui Quoc Bao", "VU THI THAO", "Chen Yifan", "LIU YANHONG", "Zhao Guoqiang",
		"Dorjsuren Munkhtuya", "BOLD ENKHBAYAR", "Angelica Reyes Bautista", "VILLANUEVA MARK", "Tursunov Sherzod", "YUSUPOVA MALIKA",
		"Preecha Chaiyasit", "Dhan Kumari Gurung", "RAI PRAKASH", "Shahidul Haque", "Chea Sreymom", "Kuznetsov Andrei",
		"Sato Haruka", "Dewi Anggraini", "Thin Thin Aye", "Camila Rojas", "Oluwaseun Adebayo",
	},
	foreignHangul: []string{
		"도 티 킴 응언", "호앙 반 뚜언", "부이 꾸옥 바오", "천이판", "류옌훙", "돌고르수렌 뭉흐투야", "앙헬리카 바우티스타", "투르수노프 셰르조드",
		"쁘리차 차이야싯", "단 쿠마리 구룽", "사토 하루카", "안드레이 쿠즈네초프", "데위 앙그라이니", "올루와세운 아데바요",
	},
	englishFirst: strings.Fields(`
		William Charlotte Benjamin Amelia Nathan Victoria Patrick Eleanor Gregory Joanna Dennis Paula Curtis Monica Stephen Allison
		DeShawn Imani Malik Aaliyah Alejandro Marisol Javier Catalina Rafael Beatriz Arjun Kavya Sanjay Meera Ibrahim Zainab
		Omar Samira Tariq Noor Jian Xiu Kenji Naomi Sergei Tatiana Tomasz Katarzyna Eoin Aoife Rhys Carys Henrik Sigrid
		Lorenzo Giulia Zoé Étienne Günther Emeka Adaeze Kofi Thandiwe`),
	englishLast: strings.Fields(`
		Bennett Callaghan Dawson Everett Fairbanks Griffith Holloway Irvine Jacobson Kensington Lockhart Montgomery Norwood
		O'Brien Prescott Radcliffe Sheffield Templeton Upton Vandermeer Westbrook Yardley Zielinski Armstrong Bradshaw Cavanaugh
		Dominguez Espinoza Figueroa Haddad Ibarra Kapoor Lindqvist Mahmoud Nwosu Ortega Papadopoulos Rasmussen Subramanian
		Takahashi Uchenna Villarreal Wójcik Yilmaz Achebe Santoro Weber Dubois Smith-Jones Mac-Gregor`),
	places: []place{
		newPlace(seoul, "서초구", "반포대로 강남대로79길 효령로 사평대로", "서초동 방배동 반포동 양재동"),
		newPlace(seoul, "성북구", "보문로 정릉로 종암로5길 화랑로", "정릉동 돈암동 길음동 장위동"),
		newPlace(seoul, "양천구", "목동동로 신월로 오목로", "목동 신정동 신월동"),
		newPlace(seoul, "은평구", "통일로 진관2로 서오릉로", "불광동 응암동 갈현동 녹번동"),
		newPlace(seoul, "강동구", "천호대로 양재대로 구천면로", "천호동 길동 둔촌동 암사동"),
		newPlace(seoul, "동작구", "상도로 사당로 노량진로", "상도동 사당동 흑석동"),
		newPlace(busan, "금정구", "금정로 부산대학로 체육공원로", "장전동 구서동 부곡동"),
		newPlace(busan, "수영구", "광안해변로 수영로 황령대로", "광안동 남천동 민락동"),
		newPlace(daegu, "수성구", "동대구로 청수로 지범로", "범어동 만촌동 지산동"),
		newPlace(daegu, "동구", "아양로 동촌로 팔공로", "신암동 효목동 방촌동"),
		newPlace(incheon, "남동구", "인하로 구월로 소래로", "구월동 간석동 논현동"),
		newPlace(incheon, "연수구", "컨벤시아대로 함박뫼로 청능대로", "송도동 연수동 옥련동"),
		newPlace(gwangju, "광산구", "첨단중앙로 사암로 수완로", "월계동 수완동 우산동"),
		newPlace(daejeon, "서구", "둔산로 도안북로 갈마로", "둔산동 탄방동 월평동"),
		newPlace(ulsan, "중구", "태화로 북부순환도로 반구로", "태화동 우정동 복산동"),
		newPlace(gyeonggi, "수원시 장안구", "정조로 송원로 경수대로", "정자동 조원동 율전동"),
		newPlace(gyeonggi, "용인시 수지구", "풍덕천로 수지로 신봉1로", "풍덕천동 죽전동 상현동"),
		newPlace(gyeonggi, "안양시 동안구", "시민대로 평촌대로 관악대로", "호계동 비산동 관양동"),
		newPlace(gyeonggi, "의정부시", "평화로 시민로 호국로", "의정부동 가능동 호원동"),
		newPlace(gyeonggi, "평택시", "평택로 중앙로 비전5로", "비전동 합정동 세교동"),
		newPlace(gangwon, "원주시", "서원대로 원일로 단구로", "단계동 무실동 단구동"),
		newPlace(chungbuk, "충주시", "국원대로 중원대로 계명대로", "연수동 교현동 칠금동"),
		newPlace(chungnam, "당진시", "당진중앙2로 대덕로 무수동로", "읍내동 채운동 수청동"),
		newPlace(jeonbuk, "익산시", "익산대로 무왕로 선화로", "영등동 모현동1가 어양동"),
		newPlace(jeonnam, "여수시", "여서로 시청로 좌수영로", "여서동 학동 문수동"),
		newPlace(gyeongbuk, "경주시", "원화로 태종로 용담로", "황성동 동천동 성건동"),
		newPlace(gyeongnam, "진주시", "진주대로 동진로 모덕로", "상대동 평거동 하대동"),
		newPlace(gyeongnam, "양산시", "양산대로 물금로 삼일로", "중부동 북부동 평산동"),
		newPlace(jeju, "제주시", "신대로 도령로 서광로", "연동 삼도이동 아라일동"),
	},
	villages: [][4]string{
		{"충청남도", "서천군", "한산면", "지현리"}, {"충남", "청양군", "정산면", "서정리"}, {"전라남도", "강진군", "칠량면", "영동리"},
		{"전남", "무안군", "일로읍", "월암리"}, {"경상북도", "봉화군", "춘양면", "의양리"}, {"경북", "성주군", "초전면", "대장리"},
		{"경상남도", "함양군", "안의면", "당본리"}, {"경남", "고성군", "하이면", "덕명리"}, {"강원도", "홍천군", "서면", "팔봉리"},
		{"강원특별자치도", "횡성군", "둔내면", "자포곡리"}, {"충청북도", "보은군", "속리산면", "사내리"}, {"전북특별자치도", "고창군", "아산면", "삼인리"},
		{"경기도", "가평군", "청평면", "대성리"}, {"경기도", "연천군", "전곡읍", "은대리"},
	},
	buildings: strings.Fields("하늘채아파트 소망빌라 미래오피스텔 꿈에그린아파트 우정빌 행복마을2단지 그린하이츠빌라 동산맨션"),
	streets:   strings.Fields("Willowbrook Franklin Summit Magnolia Jackson Lakeshore Cypress Walnut Stonegate Beaumont Ashford"),
	towns:     []string{"Madison, WI", "Eugene, OR", "Norfolk, VA", "Toledo, OH", "Helena, MT", "Mesa, AZ", "Utica, NY", "Waco, TX", "Akron, OH", "Fremont, CA", "Savannah, GA"},
	romanPlaces: []string{
		"Banpo-daero, Seocho-gu, Seoul", "Tongil-ro, Eunpyeong-gu, Seoul", "Gwangan-haebyeon-ro, Suyeong-gu, Busan",
		"Simin-daero, Dongan-gu, Anyang-si, Gyeonggi-do", "Dunsan-ro, Seo-gu, Daejeon", "Dongdaegu-ro, Suseong-gu, Daegu",
	},
}
