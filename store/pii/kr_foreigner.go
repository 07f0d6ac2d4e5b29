package pii

// findForeigner finds foreigner registration and domestic residence numbers,
// which differ from resident numbers by a seventh digit from 5 to 8.
func findForeigner(d *doc, rec *recogniser) {
	for _, list := range d.lists() {
		for i := range list {
			d.addRegistration(rec, list, i, "5678", kFRN, 13)
		}
	}
}
