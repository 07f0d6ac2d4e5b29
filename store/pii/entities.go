package pii

import "slices"

// The entities, in the names that the evaluation data use.
const (
	Person          = "PERSON"
	Phone           = "PHONE"
	Email           = "EMAIL"
	Address         = "ADDRESS"
	Date            = "DATE"
	DateOfBirth     = "DATE_OF_BIRTH"
	ResidentNumber  = "KR_RRN"
	ForeignerNumber = "KR_FRN"
	BusinessNumber  = "KR_BRN"
	CorporateNumber = "KR_CRN"
	Passport        = "KR_PASSPORT"
	DriverLicense   = "KR_DRIVER_LICENSE"
	BankAccount     = "KR_BANK_ACCOUNT"
	HealthInsurance = "KR_HEALTH_INSURANCE"
	VehiclePlate    = "KR_VEHICLE_PLATE"
	CourtCase       = "KR_COURT_CASE"
	MedicalRecord   = "MEDICAL_RECORD_NO"
	LicenseNumber   = "LICENSE_NO"
	CreditCard      = "CREDIT_CARD"
	IBAN            = "IBAN"
	SocialSecurity  = "US_SSN"
	IPAddress       = "IP_ADDRESS"
	MACAddress      = "MAC_ADDRESS"
	URL             = "URL"
	Secret          = "SECRET"
	Fax             = "FAX"
	Postcode        = "POSTCODE"
	DocumentID      = "DOC_ID"
	VehicleID       = "VIN"
	Age             = "AGE" // up to 89
	OldAge          = "OLD_AGE"
	Education       = "EDUCATION"
	Position        = "POSITION"
	Nationality     = "NATIONALITY"
)

var entities = []string{
	Person, Phone, Email, Address, Date, DateOfBirth,
	ResidentNumber, ForeignerNumber, BusinessNumber, CorporateNumber,
	Passport, DriverLicense, BankAccount, HealthInsurance, VehiclePlate,
	CourtCase, MedicalRecord, LicenseNumber, CreditCard, IBAN,
	SocialSecurity, IPAddress, MACAddress, URL, Secret,
	Fax, Postcode, DocumentID, VehicleID, OldAge,
	Age, Education, Position, Nationality,
}

var quasi = []string{Age, Education, Position, Nationality}

// Entities returns the names of all entities that a Masker can find.
func Entities() []string { return slices.Clone(entities) }

// QuasiEntities returns the entities that single nobody out by themselves, but
// may together: they are found only when [Options] names them. An age of 90 or
// more is rare enough to be an entity of its own, [OldAge], as in the Safe
// Harbor rule of HIPAA (45 CFR 164.514(b)(2)).
func QuasiEntities() []string { return slices.Clone(quasi) }

// DefaultEntities returns what a Masker masks unless told otherwise: every
// entity but those of [QuasiEntities].
func DefaultEntities() []string {
	return slices.DeleteFunc(Entities(), func(e string) bool { return slices.Contains(quasi, e) })
}

// DatasetEntities returns what is masked in training data unless told
// otherwise: [DefaultEntities] but [Date] and [URL]. Opening days, deadlines and
// the institution's own pages are facts that a model has to learn; dates of
// birth are masked.
func DatasetEntities() []string {
	return slices.DeleteFunc(DefaultEntities(), func(e string) bool { return e == Date || e == URL })
}
