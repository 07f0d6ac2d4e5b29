package datasets

import "testing"

// SetMaxExamples bounds versions until the test ends.
func SetMaxExamples(t testing.TB, n int) {
	old := maxExamples
	maxExamples = n
	t.Cleanup(func() { maxExamples = old })
}
