// Package site says who this site is to others, and whom it believes: its
// signing key with a name, and the public keys of other sites that it trusts.
// What leaves in a bundle is signed by the one; what arrives must be signed by
// one of the others.
//
// The private key is sealed in the store and leaves it only to sign. A Service
// is safe for concurrent use.
package site

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"cloister/appliance/fault"
	"cloister/store"
	"cloister/store/signing"
)

const (
	keySecret    = "site/key"     // the seed of the private key
	nameSetting  = "site/name"    // stored
	trustSetting = "site/trusted" // a list of Trusted
)

// Identity is this site as others know it.
type Identity struct {
	Name        string            `json:"name"`
	Key         signing.PublicKey `json:"key"`
	Fingerprint string            `json:"fingerprint"`
	CreatedAt   time.Time         `json:"created_at"` // of the key
}

// stored is what is kept of an Identity beside its key.
type stored struct {
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

// Trusted is another site whose signature is believed.
type Trusted struct {
	Name        string            `json:"name"` // that this site gave it
	Key         signing.PublicKey `json:"key"`
	Fingerprint string            `json:"fingerprint"`
	AddedAt     time.Time         `json:"added_at"`
}

// Service keeps both.
type Service struct {
	st *store.Store
	mu sync.Mutex // held while something is read and then written
}

// New returns a Service.
func New(st *store.Store) *Service { return &Service{st: st} }

// goodName has letters of any script: a site may be named as its people do.
var goodName = regexp.MustCompile(`^[\pL\pN][\pL\pM\pN ._-]{0,62}$`)

// GoodName reports whether a text can be the name of a site. It is safe within
// the quotes of a shell then.
func GoodName(name string) bool {
	return goodName.MatchString(name) && !strings.HasSuffix(name, " ")
}

func checkName(param, name string) error {
	if !GoodName(name) {
		return fault.New(fault.Invalid, "", param, "%q is not a good name for a site: use 1 to 63 letters, digits, blanks, points, dashes and underscores, a letter or digit first.", name)
	}
	return nil
}

// Identity returns who this site is. The error is a *fault.Error with code
// "no_site_key" before Make was called.
func (s *Service) Identity() (Identity, error) {
	id, _, err := s.load()
	return id, err
}

func (s *Service) load() (Identity, signing.PrivateKey, error) {
	var about stored
	seed, err := s.st.Secret(keySecret)
	if err == nil {
		err = s.st.Setting(nameSetting, &about)
	}
	if errors.Is(err, store.ErrNotFound) {
		return Identity{}, signing.PrivateKey{}, fault.New(fault.NotFound, "no_site_key", "", "This site has no signing key yet.").
			WithHint("cloister bundle key --name NAME-OF-THIS-SITE").Wrap(err)
	}
	if err != nil {
		return Identity{}, signing.PrivateKey{}, err
	}
	private, err := signing.FromSeed(seed)
	if err != nil {
		return Identity{}, signing.PrivateKey{}, err
	}
	key := private.Public()
	return Identity{Name: about.Name, Key: key, Fingerprint: key.Fingerprint(), CreatedAt: about.CreatedAt}, private, nil
}

// Make gives this site a name and, if it has none yet or renew is set, a new
// key. With renew the old private key is gone, and others must trust the new one.
func (s *Service) Make(name string, renew bool) (Identity, error) {
	if err := checkName("name", name); err != nil {
		return Identity{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id, _, err := s.load()
	fresh := errors.Is(err, store.ErrNotFound)
	if err != nil && !fresh {
		return Identity{}, err
	}
	about := stored{Name: name, CreatedAt: id.CreatedAt}
	if fresh || renew {
		about.CreatedAt = time.Now().UTC().Truncate(time.Second)
		// The key first: a name without a key counts as no key.
		if err := s.st.PutSecret(keySecret, signing.New().Seed()); err != nil {
			return Identity{}, err
		}
	}
	if err := s.st.PutSetting(nameSetting, about); err != nil {
		return Identity{}, err
	}
	id, _, err = s.load()
	return id, err
}

// Sign signs a message for a purpose and says who did.
func (s *Service) Sign(purpose string, message []byte) ([]byte, Identity, error) {
	id, private, err := s.load()
	if err != nil {
		return nil, Identity{}, err
	}
	return private.Sign(purpose, message), id, nil
}

// Trusted lists the sites that are trusted, by name.
func (s *Service) Trusted() ([]Trusted, error) {
	var all []Trusted
	if err := s.st.Setting(trustSetting, &all); err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return all, nil
}

// Trust believes what a key signs from now on. Adding the same key under the
// same name again changes nothing.
func (s *Service) Trust(name string, key signing.PublicKey) (Trusted, error) {
	if err := checkName("name", name); err != nil {
		return Trusted{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.Trusted()
	if err != nil {
		return Trusted{}, err
	}
	for _, t := range all {
		switch {
		case t.Key == key && t.Name == name:
			return t, nil
		case t.Key == key:
			return Trusted{}, fault.New(fault.Conflict, "", "key", "This key is trusted already, as %q.", t.Name)
		case t.Name == name:
			return Trusted{}, fault.New(fault.Conflict, "", "name", "There is another key with the name %q, %s.", name, t.Fingerprint).
				WithHint("cloister bundle trust rm %q", name)
		}
	}
	t := Trusted{Name: name, Key: key, Fingerprint: key.Fingerprint(), AddedAt: time.Now().UTC().Truncate(time.Second)}
	all = append(all, t)
	slices.SortFunc(all, func(a, b Trusted) int { return strings.Compare(a.Name, b.Name) })
	return t, s.st.PutSetting(trustSetting, all)
}

// Distrust believes a site no more. What was imported stays.
func (s *Service) Distrust(name string) (Trusted, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.Trusted()
	if err != nil {
		return Trusted{}, err
	}
	i := slices.IndexFunc(all, func(t Trusted) bool { return t.Name == name })
	if i < 0 {
		return Trusted{}, fault.New(fault.NotFound, "", "name", "No site with the name %q is trusted.", name).WithHint("cloister bundle trust list")
	}
	gone := all[i]
	return gone, s.st.PutSetting(trustSetting, slices.Delete(all, i, i+1))
}

// Signer says by which name a key is believed: that of a trusted site, or, for
// this site's own key, its own. ok is false for a key that is not believed.
func (s *Service) Signer(key signing.PublicKey) (name string, ok bool, err error) {
	all, err := s.Trusted()
	if err != nil {
		return "", false, err
	}
	for _, t := range all {
		if t.Key == key {
			return t.Name, true, nil
		}
	}
	id, err := s.Identity()
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", false, nil
	case err != nil:
		return "", false, err
	}
	if id.Key != key {
		return "", false, nil
	}
	return id.Name, true, nil
}
