package fault_test

import (
	"testing"

	"cloister/appliance/fault"
)

// Cut undoes Error.
func TestCut(t *testing.T) {
	plain := fault.New(fault.NotFound, "", "", "There is no dataset %q.", "x")
	for _, e := range []*fault.Error{plain, plain.WithHint("cloister dataset list")} {
		message, hint := fault.Cut(e.Error())
		if message != e.Message || hint != e.Hint {
			t.Errorf("Cut(%q) = %q, %q", e.Error(), message, hint)
		}
	}
}
