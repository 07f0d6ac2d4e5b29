package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
	"cloister/appliance/client"
	"cloister/store/signing"
)

func bundleKeyCommand() *cli.Command {
	return &cli.Command{
		Name: "key", Usage: "show this site's public key; with --name, make it", UsageText: "cloister bundle key [--name NAME] [--renew]",
		Description: `Bundles are signed with this site's private key, which is sealed in the data
directory. Another site imports them once it trusts the public key: bring it
there, and compare the fingerprint by another way, such as the telephone.

Examples:
  cloister bundle key --name "North clinic"
  cloister bundle key --json`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "`NAME` of this site; the key is made if there is none"},
			&cli.BoolFlag{Name: "renew", Usage: "replace the key; others must trust the new one"},
		},
		Action: bundleKey,
	}
}

func bundleKey(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	name, renew := strings.TrimSpace(c.String("name")), c.Bool("renew")
	return withAppliance(c, func(s *session) error {
		site, err := s.Site(c.Context)
		missing := client.CodeIs(err, "no_site_key")
		if name != "" || renew && err == nil {
			if name == "" {
				name = site.Name
			}
			site, err = s.MakeKey(c.Context, admin.MakeKey{Name: name, Renew: renew})
		} else if missing {
			return withHint(errors.New("this site has no signing key yet"), "%s", s.cloister("bundle key --name NAME-OF-THIS-SITE"))
		}
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, site)
		}
		if err := facts(c.App.Writer, "site", site.Name, "public key", site.Key.String(), "fingerprint", site.Fingerprint, "made", clock(site.CreatedAt)); err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.App.Writer, "at the other site: cloister bundle trust add %s %s\n", quote(site.Name), site.Key)
		return err
	})
}

func bundleTrustCommand() *cli.Command {
	return &cli.Command{
		Name: "trust", Usage: "sites whose bundles are imported: add, list, rm",
		Subcommands: []*cli.Command{
			{
				Name: "add", Usage: "trust a site's public key", UsageText: "cloister bundle trust add NAME KEY|FILE",
				Description: `KEY is what 'cloister bundle key' prints at the other site, or a file that holds
it. Compare the fingerprint with the people there before you rely on it.

Examples:
  cloister bundle trust add "North clinic" cloister-ed25519:xyz…`,
				Action: bundleTrustAdd,
			},
			{
				Name: "list", Usage: "list the sites that are trusted", UsageText: "cloister bundle trust list",
				Action: bundleTrustList,
			},
			{
				Name: "rm", Usage: "trust a site no more; what was imported stays", UsageText: "cloister bundle trust rm NAME",
				Action: bundleTrustRemove,
			},
		},
	}
}

// maxKeyFile bounds a file that should hold a public key, in bytes.
const maxKeyFile = 4096

// publicKey reads a public key, or a file that holds one.
func publicKey(c *cli.Context, arg string) (signing.PublicKey, error) {
	text := arg
	if info, err := os.Stat(text); err == nil && info.Mode().IsRegular() && info.Size() <= maxKeyFile {
		b, err := os.ReadFile(text)
		if err != nil {
			return signing.PublicKey{}, err
		}
		text = string(b)
	}
	key, err := signing.ParsePublicKey(text)
	if err != nil {
		return key, misused(c, "%s is not a public key of a site, nor a file that holds one: %v", arg, err)
	}
	return key, nil
}

func bundleTrustAdd(c *cli.Context) error {
	args, err := arguments(c, 2, "NAME", "KEY|FILE")
	if err != nil {
		return err
	}
	key, err := publicKey(c, args[1])
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		t, err := s.Trust(c.Context, admin.Trust{Name: strings.TrimSpace(args[0]), Key: key})
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, t)
		}
		_, err = fmt.Fprintf(c.App.Writer, "Bundles signed by %s, key %s, are trusted from now on.\n", t.Name, t.Fingerprint)
		return err
	})
}

func bundleTrustList(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		all, err := s.TrustedSites(c.Context)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, all)
		}
		var rows [][]string
		for _, t := range all {
			rows = append(rows, []string{t.Name, t.Fingerprint, clock(t.AddedAt)})
		}
		return table(c.App.Writer, "No site is trusted. Add one: cloister bundle trust add NAME KEY", []string{"name", "fingerprint", "since"}, rows)
	})
}

func bundleTrustRemove(c *cli.Context) error {
	args, err := arguments(c, 1, "NAME")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		if err := s.Distrust(c.Context, args[0]); err != nil {
			return notFound(err, s.cloister("bundle trust list"))
		}
		if c.Bool("json") {
			return printJSON(c, map[string]any{"name": args[0], "deleted": true})
		}
		_, err := fmt.Fprintf(c.App.Writer, "Bundles of %s are not trusted any more.\n", args[0])
		return err
	})
}
