package store

import (
	"fmt"
	"maps"
	"slices"

	"cloister/store/vault"
)

// Vault returns the token vault of a project: the place of the raw values of
// its mask tokens, sealed, with numbers of its own. It implements pii.Vault and
// is usable until the store is closed. New tokens are durable before the store
// writes anything else, so no stored text has a token that the vault does not know.
func (s *Store) Vault(project string) (*vault.Tokens, error) {
	if err := validName("project", project); err != nil {
		return nil, err
	}
	s.life.Lock()
	defer s.life.Unlock()
	t, ok := s.vaults[project]
	if !ok {
		t = vault.NewTokens(vaultKV{s, vaultSpace.under(project)}, s.projectKey(project))
		s.vaults[project] = t
	}
	return t, nil
}

// eachVault calls fn for the vaults that are in use.
func (s *Store) eachVault(fn func(*vault.Tokens) error) error {
	s.life.Lock()
	vaults := slices.Collect(maps.Values(s.vaults))
	s.life.Unlock()
	for _, t := range vaults {
		if err := fn(t); err != nil {
			return fmt.Errorf("the token vault: %w", err)
		}
	}
	return nil
}

// projectKey is the root of the keys of a project's vault.
func (s *Store) projectKey(project string) vault.Key { return s.vaultKey.Derive("project/" + project) }

// vaultKV is the part of the key space that a project's vault has.
type vaultKV struct {
	s      *Store
	prefix []byte
}

func (kv vaultKV) View(fn func(vault.Txn) error) error {
	return kv.s.view(func(x tx) error { return fn(vaultTxn{x, kv.prefix}) })
}

func (kv vaultKV) Update(fn func(vault.Txn) error) error {
	return kv.s.write(func(x tx) error { return fn(vaultTxn{x, kv.prefix}) })
}

type vaultTxn struct {
	x      tx
	prefix []byte
}

func (t vaultTxn) at(key []byte) []byte {
	return append(t.prefix[:len(t.prefix):len(t.prefix)], key...)
}

func (t vaultTxn) Get(key []byte) ([]byte, error) { return t.x.get(t.at(key)) }

func (t vaultTxn) Set(key, value []byte) error { return t.x.set(t.at(key), value) }

func (t vaultTxn) Scan(prefix []byte, fn func(key, value []byte) error) error {
	for e, err := range t.x.scan(span{prefix: t.at(prefix)}) {
		if err != nil {
			return err
		}
		if err := fn(e.key[len(t.prefix):], e.value); err != nil {
			return err
		}
	}
	return nil
}
