package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
	"golang.org/x/text/unicode/norm"

	"cloister/appliance"
)

// minPassphrase is the least number of characters of a new passphrase, as NIST
// SP 800-63B has it, and maxPassphrase what is read of its file, in bytes.
const (
	minPassphrase = 8
	maxPassphrase = 4096
)

// keyConfig says in a configuration, whose Home is set, where the master key comes from.
func keyConfig(c *cli.Context, config *appliance.Config) error {
	file := c.String("passphrase-file")
	config.KeyFile, config.NewPassphrase = c.String("master-key"), c.Bool("ask-passphrase") || file != ""
	if config.KeyFile != "" && config.NewPassphrase {
		return misused(c, "a master key comes from a file or from a passphrase; give one of --master-key and --ask-passphrase or --passphrase-file")
	}
	var once sync.Once
	var passphrase []byte
	var err error
	config.Passphrase = func(first bool) ([]byte, error) {
		once.Do(func() { // who waits for the data directory asks for its key again and again
			if file != "" {
				passphrase, err = filePassphrase(file)
			} else {
				passphrase, err = askPassphrase(c.Context, config.Home, first)
			}
			// The same letters are the same key, whatever wrote them down (RFC 8265).
			passphrase = norm.NFC.Bytes(passphrase)
			if n := utf8.RuneCount(passphrase); err == nil && first && n < minPassphrase {
				err = fmt.Errorf("the passphrase has %d characters; it needs at least %d", n, minPassphrase)
			}
		})
		return passphrase, err
	}
	return nil
}

// filePassphrase is the content of a file, without the end of its line.
func filePassphrase(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPassphrase+1))
	if err != nil {
		return nil, err
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if len(text) == 0 || len(text) > maxPassphrase || bytes.ContainsAny(text, "\r\n") {
		return nil, fmt.Errorf("%s does not hold a passphrase: one line of 1 to %d bytes", path, maxPassphrase)
	}
	return text, nil
}

// askPassphrase asks at the terminal, which is there also where standard input
// is data; twice for a new passphrase.
func askPassphrase(ctx context.Context, home string, first bool) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, withHint(fmt.Errorf("the data in %s open with a passphrase, and there is no terminal to ask for it", home), "cloister --passphrase-file FILE …")
	}
	defer tty.Close()
	if !first {
		return secret(ctx, tty, "Passphrase of "+home+": ")
	}
	passphrase, err := secret(ctx, tty, "New passphrase of "+home+" (without it nobody can read the data): ")
	if err != nil {
		return nil, err
	}
	again, err := secret(ctx, tty, "The same again: ")
	if err == nil && !bytes.Equal(passphrase, again) {
		err = errors.New("the two passphrases differ; nothing was made")
	}
	return passphrase, err
}

// secret reads a line that the terminal does not show. Ctrl-C leaves the
// terminal as it was.
func secret(ctx context.Context, tty *os.File, prompt string) ([]byte, error) {
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(tty, prompt)
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		fmt.Fprintln(tty)
		return l.text, l.err
	case <-ctx.Done():
		fmt.Fprintln(tty)
		return nil, errors.Join(ctx.Err(), term.Restore(fd, before))
	}
}
