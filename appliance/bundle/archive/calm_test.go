package archive_test

import (
	"testing"

	"cloister/appliance/bundle/archive"
)

func TestCalm(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":[1.50,"x\ty\n한글 👩‍👩‍👧"],"b":null}`: "",
		`{"a":"\u001b[2J"}`:                       `{"a":"�[2J"}`,
		`{"a":1.50,"\u0007":["a\u202eb"]}`:        `{"a":1.50,"�":["a�b"]}`,
		`{"n":12345678901234567890,"s":"\u009b"}`: `{"n":12345678901234567890,"s":"�"}`,
	} {
		if want == "" {
			want = in
		}
		if got, err := archive.Calm([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
	if _, err := archive.Calm([]byte("{")); err == nil {
		t.Error("half an object is calm")
	}
}
