package pii

// recogniser proposes candidates of one entity.
type recogniser struct {
	name   string
	entity string
	find   func(d *doc, rec *recogniser)
	rank   int
}

// recognisers is the table of all rules. Where two candidates are equal in
// score and length, the earlier recogniser wins.
var recognisers = rank([]recogniser{
	{name: "kr_resident", entity: ResidentNumber, find: findResident},
	{name: "kr_foreigner", entity: ForeignerNumber, find: findForeigner},
	{name: "kr_corporation", entity: CorporateNumber, find: findCorporation},
	{name: "kr_business", entity: BusinessNumber, find: findBusiness},
	{name: "kr_passport", entity: Passport, find: findPassport},
	{name: "kr_driver", entity: DriverLicense, find: findDriver},
	{name: "kr_bank", entity: BankAccount, find: findBankAccounts},
	{name: "kr_insurance", entity: HealthInsurance, find: findInsurance},
	{name: "kr_plate", entity: VehiclePlate, find: findPlates},
	{name: "kr_case", entity: CourtCase, find: findCases},
	{name: "us_ssn", entity: SocialSecurity, find: findSSN},
	{name: "iban", entity: IBAN, find: findIBAN},
	{name: "card", entity: CreditCard, find: findCards},
	{name: "phone", entity: Phone, find: findPhones},
	{name: "email", entity: Email, find: findEmails},
	{name: "address_kr", entity: Address, find: findKoreanAddresses},
	{name: "address_en", entity: Address, find: findEnglishAddresses},
	{name: "postcode", entity: Postcode, find: findPostcodes},
	{name: "url", entity: URL, find: findURLs},
	{name: "ip", entity: IPAddress, find: findIPs},
	{name: "mac", entity: MACAddress, find: findMACs},
	{name: "secret", entity: Secret, find: findSecrets},
	{name: "record_no", entity: MedicalRecord, find: findRecords},
	{name: "vin", entity: VehicleID, find: findVINs},
	{name: "document_id", entity: DocumentID, find: findDocumentIDs},
	{name: "license", entity: LicenseNumber, find: findLicenses},
	{name: "birth", entity: DateOfBirth, find: findBirths},
	{name: "name_message", entity: Person, find: findMessageNames},
	{name: "name_kr", entity: Person, find: findKoreanNames},
	{name: "name_foreign", entity: Person, find: findForeignNames},
	{name: "name_han", entity: Person, find: findHanNames},
	{name: "name_latin", entity: Person, find: findLatinNames},
	{name: "old_age", entity: OldAge, find: findOldAges},
	{name: "age", entity: Age, find: findAges},
	{name: "position", entity: Position, find: findPositions},
	{name: "education", entity: Education, find: findEducations},
	{name: "nationality", entity: Nationality, find: findNationalities},
	{name: "date", entity: Date, find: findDates},
})

func rank(table []recogniser) []recogniser {
	for i := range table {
		table[i].rank = i
	}
	return table
}
