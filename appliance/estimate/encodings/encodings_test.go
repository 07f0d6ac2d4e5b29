package encodings_test

import (
	"maps"
	"testing"

	loader "github.com/pkoukk/tiktoken-go-loader"

	"cloister/appliance/estimate/encodings"
)

func TestLoaderIsTheOriginal(t *testing.T) {
	for _, name := range []string{"o200k_base.tiktoken", "cl100k_base.tiktoken"} {
		got, err := encodings.Loader{}.LoadTiktokenBpe("https://example.invalid/" + name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := loader.NewOfflineLoader().LoadTiktokenBpe(name)
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: %d tokens differ from the original's %d", name, len(got), len(want))
		}
	}
	if _, err := (encodings.Loader{}).LoadTiktokenBpe("p50k_base.tiktoken"); err == nil {
		t.Error("a vocabulary that is not there was loaded")
	}
}
