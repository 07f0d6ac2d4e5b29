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
	{name: "phone", entity: Phone, find: findPhones},
	{name: "email", entity: Email, find: findEmails},
})

func rank(table []recogniser) []recogniser {
	for i := range table {
		table[i].rank = i
	}
	return table
}
