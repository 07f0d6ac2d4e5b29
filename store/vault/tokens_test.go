package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"cloister/store/pii"
	"cloister/store/vault"
)

// memoryKV is a KV in a map. fail is returned by Update after it has run the function.
type memoryKV struct {
	mu      sync.Mutex
	m       map[string][]byte
	fail    error
	updates int
}

func newMemoryKV() *memoryKV { return &memoryKV{m: map[string][]byte{}} }

func (kv *memoryKV) View(fn func(vault.Txn) error) error {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	return fn(mapTxn(kv.m))
}

func (kv *memoryKV) Update(fn func(vault.Txn) error) error {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	kv.updates++
	changed := maps.Clone(kv.m)
	if err := errors.Join(fn(mapTxn(changed)), kv.fail); err != nil {
		return err
	}
	kv.m = changed
	return nil
}

type mapTxn map[string][]byte

func (m mapTxn) Get(key []byte) ([]byte, error) { return m[string(key)], nil }

func (m mapTxn) Set(key, value []byte) error {
	m[string(key)] = bytes.Clone(value)
	return nil
}

func (m mapTxn) Scan(prefix []byte, fn func(key, value []byte) error) error {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if strings.HasPrefix(k, string(prefix)) {
			if err := fn([]byte(k), m[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

var tokensKey = vault.NewMasterKey().Derive("tokens test")

// checkTokens flushes and wants no problem.
func checkTokens(t *testing.T, tokens *vault.Tokens) {
	t.Helper()
	if err := tokens.Flush(); err != nil {
		t.Error(err)
	}
	if err := tokens.Check(func(err error) { t.Error(err) }); err != nil {
		t.Error(err)
	}
}

func token(t *testing.T, v pii.Vault, entity, value string) string {
	t.Helper()
	s, err := v.Token(entity, value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTokens(t *testing.T) {
	kv := newMemoryKV()
	v := vault.NewTokens(kv, tokensKey)
	for range 2 { // the second time from the KV
		for _, c := range []struct{ entity, value, want string }{
			{"PERSON", "Kim Jiwoo", "<PERSON_1>"},
			{"PERSON", "Park Minjun", "<PERSON_2>"},
			{"PHONE", "Kim Jiwoo", "<PHONE_1>"}, // the same value as another kind of data
			{"PERSON", "Kim Jiwoo", "<PERSON_1>"},
			{"PERSON", "", "<PERSON_3>"},
			{"RESIDENT_NUMBER", "\xff\x00", "<RESIDENT_NUMBER_1>"},
		} {
			if got := token(t, v, c.entity, c.value); got != c.want {
				t.Errorf("Token(%s, %q) = %s, want %s", c.entity, c.value, got, c.want)
			}
			if got, err := v.Reveal(c.want); err != nil || got != c.value {
				t.Errorf("Reveal(%s) = %q, %v", c.want, got, err)
			}
		}
		if err := v.Settle(); err != nil {
			t.Fatal(err)
		}
		v = vault.NewTokens(kv, tokensKey)
	}
	if got := token(t, v, "PERSON", "Lee Seoyeon"); got != "<PERSON_4>" {
		t.Errorf("after Settle and a new start: %s, want <PERSON_4>", got)
	}
	for _, unknown := range []string{"<PERSON_5>", "<EMAIL_1>", "", "PERSON_1", "\x00"} {
		if got, err := v.Reveal(unknown); !errors.Is(err, pii.ErrUnknownToken) {
			t.Errorf("Reveal(%q) = %q, %v", unknown, got, err)
		}
	}
	for _, entity := range []string{"", "person", "A B", "_X", "X_", "A1", "<A>"} {
		if got, err := v.Token(entity, "x"); err == nil {
			t.Errorf("entity %q gets %s", entity, got)
		}
	}
	checkTokens(t, v)
}

func TestTokensHideValues(t *testing.T) {
	kv := newMemoryKV()
	v := vault.NewTokens(kv, tokensKey)
	token(t, v, "PERSON", "Hong Gildong")
	checkTokens(t, v)
	for k, b := range kv.m {
		if strings.Contains(k, "Gildong") || bytes.Contains(b, []byte("Gildong")) {
			t.Errorf("%q holds the value", k)
		}
	}
	other := newMemoryKV()
	w := vault.NewTokens(other, vault.NewMasterKey().Derive("tokens test"))
	token(t, w, "PERSON", "Hong Gildong")
	checkTokens(t, w)
	for k := range other.m {
		if strings.HasPrefix(k, "l") && kv.m[k] != nil {
			t.Error("two projects have the same lookup key for a value")
		}
	}
}

func TestTokensConcurrent(t *testing.T) {
	kv := newMemoryKV()
	v := vault.NewTokens(kv, tokensKey)
	const workers, values = 8, 700
	got := make([][]string, workers)
	var wg sync.WaitGroup
	for w := range workers {
		got[w] = make([]string, values)
		wg.Go(func() {
			for i := range values {
				n := (i*13 + w*89) % values // each in an order of its own
				s, err := v.Token("PERSON", fmt.Sprint("person ", n))
				if err != nil {
					t.Error(err)
				}
				if back, err := v.Reveal(s); err != nil || back != fmt.Sprint("person ", n) {
					t.Errorf("%s reveals %q, %v", s, back, err)
				}
				got[w][n] = s
				if i%50 == 0 {
					if err := v.Flush(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for n := range values {
		for w := range workers {
			if got[w][n] != got[0][n] {
				t.Fatalf("value %d has tokens %s and %s", n, got[0][n], got[w][n])
			}
		}
		seen[got[0][n]] = true
	}
	if len(seen) != values || !seen[fmt.Sprintf("<PERSON_%d>", values)] {
		t.Errorf("%d different tokens for %d values", len(seen), values)
	}
	checkTokens(t, v)
}

// A crash is a new Tokens over the same KV: what waited is lost, and no number comes twice.
func TestTokensCrash(t *testing.T) {
	kv := newMemoryKV()
	given := map[string]string{}
	for round := range 20 {
		v := vault.NewTokens(kv, tokensKey)
		for i := range 70 {
			value := fmt.Sprintf("value %d of round %d", i, round)
			tok := token(t, v, "CARD", value)
			if given[tok] != "" {
				t.Fatalf("%s stands for %q and %q", tok, given[tok], value)
			}
			given[tok] = value
			if i == 40 {
				if err := v.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	v := vault.NewTokens(kv, tokensKey)
	kept := 0
	for tok, value := range given {
		got, err := v.Reveal(tok)
		if err == nil {
			kept++
		}
		if err == nil && got != value || err != nil && !errors.Is(err, pii.ErrUnknownToken) {
			t.Errorf("%s: %q, %v", tok, got, err)
		}
	}
	if kept != 20*41 {
		t.Errorf("%d tokens were kept, want those that were flushed, %d", kept, 20*41)
	}
	checkTokens(t, v)
}

// An error of the store reaches the caller, loses nothing, and ends when the store works again.
func TestTokensKVFails(t *testing.T) {
	kv := newMemoryKV()
	v := vault.NewTokens(kv, tokensKey)
	first := token(t, v, "PERSON", "A")
	kv.fail = errors.New("disk full")
	if err := v.Flush(); !errors.Is(err, kv.fail) {
		t.Errorf("Flush: %v", err)
	}
	if _, err := v.Token("EMAIL", "a@b.example"); !errors.Is(err, kv.fail) {
		t.Errorf("Token that has to reserve: %v", err)
	}
	kv.fail = nil
	if got := token(t, v, "PERSON", "A"); got != first {
		t.Errorf("%s became %s", first, got)
	}
	if got := token(t, v, "EMAIL", "a@b.example"); got != "<EMAIL_1>" {
		t.Errorf("the first e-mail is %s", got)
	}
	checkTokens(t, v)
	if got, err := vault.NewTokens(kv, tokensKey).Reveal(first); err != nil || got != "A" {
		t.Errorf("Reveal after a new start: %q, %v", got, err)
	}
}

func TestTokensFewUpdates(t *testing.T) {
	kv := newMemoryKV()
	v := vault.NewTokens(kv, tokensKey)
	for i := range 1280 {
		token(t, v, "PERSON", fmt.Sprint(i))
	}
	if kv.updates > 1280/64+1280/500+1 {
		t.Errorf("1280 new tokens took %d transactions", kv.updates)
	}
	checkTokens(t, v)
}

func TestTokensCheckFinds(t *testing.T) {
	damage := map[string]func(m map[string][]byte){
		"a changed value":      func(m map[string][]byte) { m["v<PERSON_1>"][20] ^= 1 },
		"values exchanged":     func(m map[string][]byte) { m["v<PERSON_1>"], m["v<PERSON_2>"] = m["v<PERSON_2>"], m["v<PERSON_1>"] },
		"a lost value":         func(m map[string][]byte) { delete(m, "v<PERSON_1>") },
		"a lost lookup key":    func(m map[string][]byte) { delete(m, lookupOf(m, "<PERSON_1>")) },
		"a wrong lookup key":   func(m map[string][]byte) { m[lookupOf(m, "<PERSON_1>")] = []byte("<PERSON_2>") },
		"a counter set back":   func(m map[string][]byte) { m["nPERSON"] = []byte{0, 0, 0, 0, 0, 0, 0, 1} },
		"a counter cut short":  func(m map[string][]byte) { m["nPERSON"] = []byte{1} },
		"a token of no form":   func(m map[string][]byte) { m["vPERSON"] = tokensKey.Derive("value").Seal(nil, "vPERSON"[1:]) },
		"another vault's data": func(m map[string][]byte) { m["v<PERSON_9>"] = []byte("short") },
	}
	for name, change := range damage {
		kv := newMemoryKV()
		v := vault.NewTokens(kv, tokensKey)
		token(t, v, "PERSON", "A")
		token(t, v, "PERSON", "B")
		checkTokens(t, v)
		change(kv.m)
		problems := 0
		if err := v.Check(func(error) { problems++ }); err == nil && problems == 0 {
			t.Errorf("%s is not found", name)
		}
	}
}

func lookupOf(m map[string][]byte, token string) string {
	for k, v := range m {
		if strings.HasPrefix(k, "l") && string(v) == token {
			return k
		}
	}
	return ""
}
