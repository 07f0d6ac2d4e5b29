package datasets

import (
	"context"

	"cloister/appliance/fault"
	"cloister/store/risk"
)

// Risk measures how well the examples of a version (0: the newest) hide among
// each other by what their masked texts say together; k is the number that each
// should have in common with others, 2 to 1000.
func (s *Service) Risk(ctx context.Context, dataset string, number, k int) (risk.Report, error) {
	if k < 2 || k > 1000 {
		return risk.Report{}, fault.New(fault.Invalid, "", "k", "k is %d; it must be 2 to 1000.", k)
	}
	v, err := s.version(dataset, number)
	if err != nil {
		return risk.Report{}, err
	}
	finder, err := risk.NewFinder()
	if err != nil {
		return risk.Report{}, err
	}
	var rows []risk.Row
	for ex, err := range s.st.Examples(v.Dataset, v.Number, "") {
		if err != nil {
			return risk.Report{}, err
		}
		if err := ctx.Err(); err != nil {
			return risk.Report{}, err
		}
		texts := []string{ex.Rejected}
		for _, m := range ex.Messages {
			if m.Role != "system" { // the same for all
				texts = append(texts, m.Content)
			}
		}
		rows = append(rows, risk.Row{Number: ex.Row, ID: ex.ID, Values: finder.Find(texts)})
	}
	return risk.Assess(rows, k), nil
}
