package vault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"cloister/store/pii"
	"cloister/store/vault"
)

// proposals proposes the texts of list, one after the other.
func proposals(list ...string) func(int) (string, bool) {
	return func(try int) (string, bool) {
		if try >= len(list) {
			return "", false
		}
		return list[try], true
	}
}

func surrogate(t *testing.T, v *vault.Tokens, entity, value string, list ...string) string {
	t.Helper()
	s, err := v.Surrogate(entity, value, proposals(list...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTokensSurrogates(t *testing.T) {
	kv := newMemoryKV()
	v := vault.NewTokens(kv, tokensKey)
	token(t, v, "PERSON", "Otto Brenner")
	for range 2 { // the second time from the KV
		for _, c := range []struct {
			entity, value string
			list          []string
			want          string
		}{
			{"PERSON", "Kim Jiwoo", []string{"Ada Example"}, "Ada Example"},
			{"PERSON", "Kim Jiwoo", []string{"Another"}, "Ada Example"},                            // it has one
			{"PERSON", "Park Minjun", []string{"Ada Example", "Bo Example"}, "Bo Example"},         // taken
			{"PERSON", "Lee Seoyeon", []string{"Otto Brenner", "Kim Jiwoo", "Cy"}, "Cy"},           // known values
			{"EMAIL", "Kim Jiwoo", []string{"Ada Example", "<PERSON_7>", "", "a@b"}, "a@b"},        // another kind of data
			{"EMAIL", "x@example.com", []string{"x@example.com"}, "x@example.com"},                 // stands for itself
			{"EMAIL", "y@clinic.example", []string{"x@example.com", strings.Repeat("z", 600)}, ""}, // none is left
			{"PHONE", "010\x00-1", []string{"010-0000-0001"}, "010-0000-0001"},
		} {
			if got := surrogate(t, v, c.entity, c.value, c.list...); got != c.want {
				t.Errorf("Surrogate(%s, %q) = %q, want %q", c.entity, c.value, got, c.want)
			}
			if c.want == "" {
				continue
			}
			if got, err := v.Reveal(c.want); err != nil || got != c.value {
				t.Errorf("Reveal(%s) = %q, %v", c.want, got, err)
			}
		}
		checkTokens(t, v)
		v = vault.NewTokens(kv, tokensKey)
	}
	var all []string
	if err := v.Surrogates(func(s string) error { all = append(all, s); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	if want := []string{"010-0000-0001", "Ada Example", "Bo Example", "Cy", "a@b", "x@example.com"}; !slices.Equal(all, want) {
		t.Errorf("%q", all)
	}
	if got, err := v.Reveal("Otto Brenner"); !errors.Is(err, pii.ErrUnknownToken) {
		t.Errorf("a value that is no surrogate reveals %q, %v", got, err)
	}
	if _, err := v.Surrogate("person", "x", proposals("y")); err == nil {
		t.Error("an entity in small letters is taken")
	}
	// The values are sealed: nothing in the KV tells them.
	for k, b := range kv.m {
		if strings.Contains(k+string(b), "Jiwoo") || strings.Contains(k+string(b), "Minjun") {
			t.Errorf("a value can be read at %q", k)
		}
	}
	// Another key knows nothing, and says the same under HMAC to nobody else.
	other := vault.NewTokens(newMemoryKV(), vault.NewMasterKey().Derive("tokens test"))
	if v.MAC("a", "b") == other.MAC("a", "b") || v.MAC("a", "b") == v.MAC("ab") || v.MAC("a") != vault.NewTokens(kv, tokensKey).MAC("a") {
		t.Error("the MAC does not depend on the key and the parts")
	}
}

// Check sees a surrogate whose value was exchanged, damaged or lost.
func TestSurrogatesCheck(t *testing.T) {
	for name, damage := range map[string]func(kv *memoryKV){
		"exchanged": func(kv *memoryKV) { kv.m["sAda"], kv.m["sBo"] = kv.m["sBo"], kv.m["sAda"] },
		"cut":       func(kv *memoryKV) { kv.m["sAda"] = kv.m["sAda"][:5] },
		"lost":      func(kv *memoryKV) { delete(kv.m, "sAda") },
		"no lookup": func(kv *memoryKV) {
			for k := range kv.m {
				if k[0] == 'p' {
					delete(kv.m, k)
				}
			}
		},
	} {
		kv := newMemoryKV()
		v := vault.NewTokens(kv, tokensKey)
		surrogate(t, v, "PERSON", "Kim Jiwoo", "Ada")
		surrogate(t, v, "PERSON", "Park Minjun", "Bo")
		checkTokens(t, v)
		damage(kv)
		var problems []error
		if err := v.Check(func(err error) { problems = append(problems, err) }); err != nil || len(problems) == 0 {
			t.Errorf("%s: %v, %v", name, problems, err)
		}
		if s := fmt.Sprint(problems); strings.Contains(s, "Jiwoo") || strings.Contains(s, "Minjun") {
			t.Errorf("%s: a problem holds a value: %s", name, s)
		}
	}
}

// Many at once: no surrogate for two values, and the same for the same value.
func TestSurrogatesConcurrent(t *testing.T) {
	v := vault.NewTokens(newMemoryKV(), tokensKey)
	var mu sync.Mutex
	by := map[string]string{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 700 {
				value := fmt.Sprint("value ", i)
				s, err := v.Surrogate("PERSON", value, func(try int) (string, bool) { return fmt.Sprint("surrogate ", i/3+try), true })
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if old, ok := by[s]; ok && old != value {
					t.Errorf("%s stands for two values", s)
				}
				by[s] = value
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(by) != 700 {
		t.Errorf("%d surrogates for 700 values", len(by))
	}
	checkTokens(t, v)
}

// TestRestartProperty masks the shared texts, cut and joined by chance, with
// surrogates and tokens, each with a vault that has just been opened: the bytes
// come back in another start, and the masked text is the same in a third.
func TestRestartProperty(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "pii", "testdata", "synth_dev.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for line := range strings.Lines(string(raw)) {
		var row struct{ Text string }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, row.Text)
	}
	modes := map[string]pii.Mode{}
	for _, e := range pii.Entities() {
		if pii.ModeSurrogate.Fits(e) == nil {
			modes[e] = pii.ModeSurrogate
		}
	}
	kv, rng := newMemoryKV(), rand.New(rand.NewPCG(5, 6))
	open := func() (*vault.Tokens, *pii.Masker) {
		v := vault.NewTokens(kv, tokensKey)
		m, err := pii.New(v, pii.Options{Modes: modes})
		if err != nil {
			t.Fatal(err)
		}
		return v, m
	}
	for range 150 {
		a, b := []rune(texts[rng.IntN(len(texts))]), texts[rng.IntN(len(texts))]
		text := string(a[rng.IntN(len(a)):]) + []string{"", "\n", " ", "은 "}[rng.IntN(4)] + b
		v, m := open()
		masked, _, err := m.Mask(text)
		if err := errors.Join(err, v.Settle()); err != nil {
			t.Fatal(err)
		}
		v, m = open()
		if back, err := pii.Unmask(v, masked.String()); err != nil || back != text {
			t.Fatalf("%q comes back as %q, want %q (%v)", masked, back, text, err)
		}
		if again, _, err := m.Mask(text); err != nil || again != masked {
			t.Fatalf("%q, after a start %q (%v)", masked, again, err)
		}
	}
	checkTokens(t, vault.NewTokens(kv, tokensKey))
}

// What is masked with surrogates and tokens comes back byte for byte after a
// start, and gets the same surrogates then.
func TestMaskAfterRestart(t *testing.T) {
	kv := newMemoryKV()
	o := pii.Options{Modes: map[string]pii.Mode{pii.Person: pii.ModeSurrogate, pii.Phone: pii.ModeSurrogate, pii.Address: pii.ModeSurrogate}}
	const text = "환자 육갑수는 010-1234-5678로, 주소: 서울 강남구 테헤란로 152에서 a@clinic.example 로 왔다. 육갑수가"
	first := ""
	for range 3 {
		v := vault.NewTokens(kv, tokensKey)
		m, err := pii.New(v, o)
		if err != nil {
			t.Fatal(err)
		}
		masked, _, err := m.Mask(text)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = masked.String()
		}
		if err := v.Settle(); err != nil {
			t.Fatal(err)
		}
		back, err := pii.Unmask(vault.NewTokens(kv, tokensKey), masked.String())
		if err != nil || back != text || masked.String() != first || strings.Contains(first, "육갑수") {
			t.Errorf("masked %q, first %q, back %q, %v", masked, first, back, err)
		}
	}
}

// Values gives every value with what stands for it, waiting ones too.
func TestValues(t *testing.T) {
	v := vault.NewTokens(newMemoryKV(), tokensKey)
	token(t, v, "PERSON", "Otto Brenner")
	surrogate(t, v, "PERSON", "Kim Jiwoo", "Ada Example")
	got := map[string]string{}
	if err := v.Values(func(token, entity, value string) error {
		got[token] = entity + " " + value
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got["<PERSON_1>"] != "PERSON Otto Brenner" || got["Ada Example"] != "PERSON Kim Jiwoo" {
		t.Errorf("%v", got)
	}
	stop := errors.New("stop")
	if err := v.Values(func(string, string, string) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}
