package pii_test

import "strings"

// devValues fill the dev half.
var devValues = values{
	given: strings.Fields(`
		민준 서준 도윤 예준 시우 하준 주원 지호 지후 준우 도현 건우 우진 선우 서진 유준 연우 은우 정우 승우
		서연 서윤 지우 서현 하윤 민서 하은 지유 윤서 채원 수아 지아 다은 은서 예은 수빈 소율 예린 지원 소윤
		지훈 성민 현우 동현 준혁 성현 재현 상훈 진우 민수 영호 정훈 승현 태현 병철 경수 기영 대성 종수 용태
		지혜 은정 미경 현정 수진 은영 혜진 선영 미숙 영숙 순자 정희 경희 명자 옥순 말순 춘자 복순 금례 영자
		광수 상철 영수 정호 동수 만식 덕배 종필 창호 병호 기태 윤호 태식 석진 인철 학수 재석 원일 충식 홍기
		가람 나래 다솜 보람 슬기 아름 한결 새롬 단비 이슬 하늘 새봄 라온 누리 초롱 으뜸 겨레 힘찬 여울 해솔`),
	shortGiven: strings.Fields("찬 현 훈 진 솔 린 율 빈 건 혁 담 결"),
	longGiven:  strings.Fields("하늘빛 빛나리 새벽별 온누리"),
	foreign: []string{
		"Nguyen Thi Lan Huong", "NGUYEN VAN DUC", "Tran Minh Quang", "Pham Thi Mai", "LE HOANG NAM",
		"Wang Xiaoling", "LI JIANGUO", "Zhang Weimin", "Batbayar Oyunchimeg", "GANBOLD TEMUULEN",
		"Maria Cristina Santos", "DELA CRUZ JOSEPH", "Rakhimov Jasur", "KARIMOVA NILUFAR", "Somchai Wongsakul",
		"Ram Bahadur Thapa", "SHRESTHA SUNITA", "Md. Rafiqul Alam", "Sok Dara", "Ivanova Svetlana",
		"Tanaka Misaki", "Siti Nurhaliza Rahman", "Kyaw Zin Htet", "Fernando Pereira",
	},
	foreignHangul: []string{
		"응우옌 티 흐엉", "쩐 반 민", "팜 티 마이", "레 호앙 남", "왕샤오링", "리젠궈", "바트바야르 오윤", "마리아 산토스",
		"라히모프 자수르", "솜차이 웡사쿤", "람 바하두르 타파", "라피쿨 알람", "속 다라", "다나카 미사키", "스베틀라나 이바노바", "저우메이링",
	},
	englishFirst: strings.Fields(`
		James Emily Robert Olivia Michael Sophia Daniel Grace Thomas Hannah Kevin Megan Brian Laura Jason Rachel
		Tyrone Keisha Jamal Latoya Carlos Guadalupe Miguel Esperanza Diego Lucia Rajesh Ananya Vikram Deepika
		Mohammed Fatima Hassan Amina Yusuf Leila Wei Mei Hiroshi Yuki Dmitri Olga Piotr Agnieszka Niamh Siobhan
		Cormac Bronwyn Gareth Ingrid Lars Astrid Matteo Chiara Amélie François Jürgen Chukwuemeka Ngozi Kwame`),
	englishLast: strings.Fields(`
		Anderson Whitaker Brooks Caldwell Donovan Ellsworth Fitzgerald Gallagher Hargrove Ingram Jefferson Kowalczyk
		Lindgren McAllister Nakamura O'Connor Pemberton Quigley Rosenberg Stanhope Thornton Underhill Vasquez
		Wainwright Yamamoto Zimmerman Abernathy Blackwood Castellano Delgado Ekwueme Fontaine Gutierrez Hussain
		Iyer Jovanovic Khalil Larsson Mbeki Novak Okonkwo Petrov Ramirez Schneider Tremblay Venkataraman Walsh
		Garcia-Lopez Van-Dyke St.Claire`),
	places: []place{
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
	},
	villages: [][4]string{
		{"충청남도", "홍성군", "광천읍", "신진리"}, {"충남", "예산군", "삽교읍", "두리"}, {"전라남도", "해남군", "황산면", "우항리"},
		{"전남", "고흥군", "도양읍", "봉암리"}, {"경상북도", "의성군", "금성면", "대리리"}, {"경북", "영덕군", "강구면", "오포리"},
		{"경상남도", "하동군", "악양면", "평사리"}, {"경남", "거창군", "가조면", "마상리"}, {"강원도", "평창군", "봉평면", "창동리"},
		{"강원특별자치도", "정선군", "북평면", "나전리"}, {"충청북도", "괴산군", "청천면", "화양리"}, {"전라북도", "부안군", "변산면", "격포리"},
		{"경기도", "양평군", "용문면", "다문리"}, {"경기도", "여주시", "가남읍", "태평리"}, {"제주특별자치도", "제주시", "애월읍", "고내리"},
		{"경기", "화성시", "향남읍", "행정리"},
	},
	buildings: strings.Fields("한들마을아파트 새솔빌라 누리오피스텔 푸른숲아파트 다온빌 해맑은타운 은빛마을5단지 초원빌리지 늘봄맨션"),
	streets:   strings.Fields("Maplewood Harrison Prospect Sycamore Lincoln Bayview Juniper Chestnut Ridgecrest Delancey Kingsley"),
	towns:     []string{"Springfield, IL", "Portland, OR", "Richmond, VA", "Columbus, OH", "Boise, ID", "Tucson, AZ", "Albany, NY", "Plano, TX", "Dayton, OH", "San Mateo, CA"},
	romanPlaces: []string{"Nonhyeon-ro 87-gil, Gangnam-gu, Seoul", "Sinbanpo-ro, Seocho-gu, Seoul", "Haeundae-ro, Haeundae-gu, Busan",
		"Bongyeong-ro, Yeongtong-gu, Suwon-si, Gyeonggi-do", "Daedeok-daero, Yuseong-gu, Daejeon", "Wolbae-ro, Dalseo-gu, Daegu"},
}
