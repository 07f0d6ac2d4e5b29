package archive

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
)

// Signer signs a message for a purpose, as signing.PrivateKey.Sign does.
type Signer func(purpose string, message []byte) ([]byte, error)

// Write writes a bundle. Format and version of m are set here; its site must be
// the one that sign signs as. open gives the content of each part, in the order
// of the manifest; one that is not as m says is an error, and what has been
// written then is no bundle. The SHA-256 of the manifest is returned, which
// stands for the bundle.
func Write(w io.Writer, m Manifest, sign Signer, open func(Part) (io.ReadCloser, error)) (string, error) {
	m.Format, m.Version = format, version
	if err := m.valid(); err != nil {
		return "", err
	}
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return "", err
	}
	raw = append(raw, '\n')
	if len(raw) > maxManifest {
		return "", fmt.Errorf("its manifest would have %d bytes; at most %d are read", len(raw), maxManifest)
	}
	signature, err := sign(Purpose, raw)
	if err != nil {
		return "", err
	}
	if err := m.Site.Key.Verify(Purpose, raw, signature); err != nil {
		return "", err
	}
	for _, f := range []struct {
		name    string
		content []byte
	}{{manifestName, raw}, {signatureName, signatureText(signature)}} {
		if err := writeAll(w, header(f.name, int64(len(f.content))), f.content, make([]byte, padding(int64(len(f.content))))); err != nil {
			return "", err
		}
	}
	for _, p := range m.Parts {
		if err := writePart(w, p, open); err != nil {
			return "", fmt.Errorf("part %s: %w", p.Name, err)
		}
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), writeAll(w, make([]byte, trailer))
}

func signatureText(signature []byte) []byte {
	return append([]byte(base64.StdEncoding.EncodeToString(signature)), '\n')
}

func writeAll(w io.Writer, pieces ...[]byte) error {
	for _, p := range pieces {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

func writePart(w io.Writer, p Part, open func(Part) (io.ReadCloser, error)) (err error) {
	r, err := open(p)
	if err != nil {
		return err
	}
	defer func() {
		if closed := r.Close(); err == nil {
			err = closed
		}
	}()
	if err := writeAll(w, header(p.Name, p.Bytes)); err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(r, p.Bytes+1))
	if err != nil {
		return err
	}
	if n != p.Bytes || !fits(sum, p) {
		return fmt.Errorf("its content is not that with the SHA-256 %s any more", p.SHA256)
	}
	return writeAll(w, make([]byte, padding(p.Bytes)))
}

func fits(sum hash.Hash, p Part) bool { return hex.EncodeToString(sum.Sum(nil)) == p.SHA256 }
