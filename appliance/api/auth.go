package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"cloister/store"
)

// role is what a caller may do; each one may do what those below it may.
type role int

const (
	rolePublic  role = iota // no key needed
	roleUser                // chat, models, feedback
	roleTrainer             // files and fine-tuning
	roleAdmin               // everything, /admin included
)

// roles are the names of roles that keys can have.
var roles = map[string]role{"user": roleUser, "trainer": roleTrainer, "admin": roleAdmin}

// principal is who makes a request.
type principal struct {
	actor string // key id, "local" (the control socket) or "anonymous"; for the log and the audit
	role  role
}

// local is the owner of the machine at the control socket, whom the socket's
// file permissions let in.
var local = principal{actor: "local", role: roleAdmin}

// authenticate finds out who makes a request over TCP. Without any key the
// appliance trusts its own machine, except with /admin: there the control
// socket or an admin key is needed.
func (s *Server) authenticate(r *http.Request) (principal, error) {
	keys, err := s.Store.Keys()
	if err != nil {
		return principal{}, err
	}
	if len(keys) == 0 {
		return anonymous(r)
	}
	scheme, secret, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	secret = strings.TrimSpace(secret)
	if !strings.EqualFold(scheme, "Bearer") || secret == "" {
		return principal{}, unauthorized("You did not provide an API key. Send it in the header: Authorization: Bearer KEY.")
	}
	if k, ok := findKey(keys, secret); ok {
		return principal{actor: k.ID, role: roles[k.Role]}, nil
	}
	return principal{}, unauthorized("Incorrect API key provided. An administrator can make one with: cloister key add")
}

// findKey looks for the key with this secret and takes the same time for every
// wrong one.
func findKey(keys []store.Key, secret string) (store.Key, bool) {
	hash := []byte(hashSecret(secret))
	found, ok := store.Key{}, false
	for _, k := range keys {
		if subtle.ConstantTimeCompare(hash, []byte(k.Hash)) == 1 {
			found, ok = k, true
		}
	}
	return found, ok
}

// anonymous lets callers of this machine in. A web page somewhere else could
// lead its name to this machine to get around the check of origins, so the
// name that was asked for must be this machine's too.
func anonymous(r *http.Request) (principal, error) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	ip, parseErr := netip.ParseAddr(host)
	if err != nil || parseErr != nil || !ip.Unmap().IsLoopback() || !isLoopbackHost(r.Host) {
		return principal{}, unauthorized("This appliance has no API keys, so it answers its own machine only, as localhost. Make a key with: cloister key add --role user")
	}
	return principal{actor: "anonymous", role: roleTrainer}, nil
}

func unauthorized(message string) *failure {
	return &failure{status: http.StatusUnauthorized, kind: typeInvalid, code: "invalid_api_key", message: message}
}

// authorize checks that a principal may use a route.
func authorize(who principal, needs role) error {
	if who.role >= needs {
		return nil
	}
	message := "This API key may not do that; it needs the role " + roleName(needs) + "."
	if who.actor == "anonymous" {
		message = "This needs an admin key or the control socket. On the appliance's machine, use the command line: cloister --help"
	}
	return &failure{status: http.StatusForbidden, kind: typeInvalid, code: "insufficient_permissions", message: message}
}

func roleName(r role) string {
	for name, value := range roles {
		if value == r {
			return name
		}
	}
	return "public"
}

// newSecret makes the secret of an API key: 256 random bits, in the form that
// clients and secret scanners know.
func newSecret() string {
	return "sk-" + rand.Text() + rand.Text()
}

// hashSecret is what is stored of a secret. A plain hash is enough: the secret
// is random and long.
func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
