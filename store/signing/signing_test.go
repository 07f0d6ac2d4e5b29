package signing_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"cloister/store/signing"
)

// The vector "foo" of RFC 8032, 7.2: Ed25519ctx.
func TestVector(t *testing.T) {
	seed, _ := hex.DecodeString("0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6")
	message, _ := hex.DecodeString("f726936d19c800494e3fdaff20b276a8")
	want := "55a4cc2f70a54e04288c5f4cd1e45a7bb520b36292911876cada7323198dd87a8b36950b95130022907a7fb7c4e9b2d5f6cca685a587b4b21f4b888e4e7edb0d"
	k, err := signing.FromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(k.Sign("foo", message)); got != want {
		t.Errorf("the signature is %s", got)
	}
}

func TestSignVerify(t *testing.T) {
	k, message := signing.New(), []byte("a manifest")
	signature := k.Sign("bundle", message)
	if len(signature) != signing.SignatureSize || k.Public().Verify("bundle", message, signature) != nil {
		t.Fatal("a signature does not verify")
	}
	refused := func(what string, key signing.PublicKey, purpose string, message, signature []byte) {
		t.Helper()
		if err := key.Verify(purpose, message, signature); !errors.Is(err, signing.ErrBadSignature) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("another purpose", k.Public(), "pack", message, signature)
	refused("no purpose", k.Public(), "", message, signature)
	refused("another key", signing.New().Public(), "bundle", message, signature)
	refused("no key", signing.PublicKey{}, "bundle", message, signature)
	refused("no signature", k.Public(), "bundle", message, nil)
	refused("a long signature", k.Public(), "bundle", message, append(signature[:64:64], 0))
	for i := range signature {
		bad := []byte(string(signature))
		bad[i] ^= 1
		refused(fmt.Sprint("byte ", i), k.Public(), "bundle", message, bad)
	}
	for i := range message {
		bad := []byte(string(message))
		bad[i] ^= 0x80
		refused("a changed message", k.Public(), "bundle", bad, signature)
	}
}

func TestSeed(t *testing.T) {
	k := signing.New()
	again, err := signing.FromSeed(k.Seed())
	if err != nil || again.Public() != k.Public() {
		t.Errorf("the seed gives another key: %v", err)
	}
	for _, n := range []int{0, 31, 33, 64} {
		if _, err := signing.FromSeed(make([]byte, n)); !errors.Is(err, signing.ErrBadKey) {
			t.Errorf("a seed of %d bytes: %v", n, err)
		}
	}
}

// Each slip in the text of a key is noticed.
func TestText(t *testing.T) {
	k := signing.New().Public()
	text := k.String()
	if got, err := signing.ParsePublicKey("  " + text + "\n"); err != nil || got != k {
		t.Fatalf("%s: %v", text, err)
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range text {
		for _, c := range alphabet[:64] {
			if bad := text[:i] + string(c) + text[i+1:]; bad != text {
				if _, err := signing.ParsePublicKey(bad); !errors.Is(err, signing.ErrBadKey) {
					t.Fatalf("%s is taken for a key: %v", bad, err)
				}
			}
		}
		if _, err := signing.ParsePublicKey(text[:i]); !errors.Is(err, signing.ErrBadKey) {
			t.Fatalf("cut to %d: %v", i, err)
		}
	}
	zero := signing.PublicKey{}
	if _, err := signing.ParsePublicKey(zero.String()); !errors.Is(err, signing.ErrBadKey) {
		t.Errorf("no key is taken for one: %v", err)
	}
	var out struct{ Key signing.PublicKey }
	b, err := json.Marshal(map[string]any{"Key": k})
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil || out.Key != k || !strings.Contains(string(b), text) {
		t.Errorf("as JSON: %s, %v", b, err)
	}
}

func TestFingerprint(t *testing.T) {
	k := signing.New().Public()
	f := k.Fingerprint()
	if len(f) != 39 || strings.Count(f, "-") != 7 || f != k.Fingerprint() || f == signing.New().Public().Fingerprint() {
		t.Errorf("fingerprint %q", f)
	}
}

func TestPrivateKeyDoesNotPrint(t *testing.T) {
	k := signing.New()
	secrets := []string{hex.EncodeToString(k.Seed())[:16], base64.StdEncoding.EncodeToString(k.Seed())[:16], fmt.Sprint(k.Seed())[1:20]}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		for _, v := range []any{k, &k, struct{ K signing.PrivateKey }{k}} {
			out := fmt.Sprintf(verb, v)
			for _, s := range secrets {
				if !strings.Contains(out, "hidden") || strings.Contains(out, s) {
					t.Errorf("%s of %T prints the key", verb, v)
				}
			}
		}
	}
	if b, err := json.Marshal([]any{k}); err != nil || string(b) != "[{}]" {
		t.Errorf("JSON of a key: %s, %v", b, err)
	}
}
