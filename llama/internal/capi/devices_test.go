package capi

import "testing"

// What NVIDIA's programming guide says of compatibility: code within a major number, PTX onwards, "a" nowhere else.
func TestArchsRun(t *testing.T) {
	const all = "75-real;80-real;86-real;89-real;90-real;100-real;120a-real;100-virtual"
	for _, c := range []struct {
		archs        string
		major, minor int
		want         bool
	}{
		{"90-real;90-virtual", 9, 0, true},
		{"90-real;90-virtual", 8, 9, false},
		{"90-real;90-virtual", 10, 0, true}, // by PTX
		{"90-real", 10, 0, false},
		{"86-real", 8, 9, true},
		{"89-real", 8, 6, false},
		{"80-real", 9, 0, false},
		{"75", 12, 1, true}, // a number alone: code and PTX
		{"120a-real", 12, 0, true},
		{"120a-real", 12, 1, false},
		{"90a-virtual", 10, 0, false},
		{all, 7, 0, false},
		{all, 7, 5, true},
		{all, 8, 7, true},
		{all, 12, 1, true},
		{all, 11, 0, true},
		{"", 9, 0, false},
		{"nonsense;;90", 9, 0, true},
		{"nonsense", 9, 0, false},
	} {
		if got := ArchsRun(c.archs, c.major, c.minor); got != c.want {
			t.Errorf("%q on %d.%d: %v", c.archs, c.major, c.minor, got)
		}
	}
}
