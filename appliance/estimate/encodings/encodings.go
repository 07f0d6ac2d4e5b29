// Package encodings holds the vocabularies of OpenAI's tokenizers, packed: the
// files of github.com/pkoukk/tiktoken-go-loader that Cloister counts with, a
// third as large. A test holds them against the originals.
package encodings

import (
	"bufio"
	"compress/gzip"
	"embed"
	"encoding/base64"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/pkoukk/tiktoken-go"
)

//go:generate go run gen.go

//go:embed *.tiktoken.gz
var files embed.FS

// Loader reads the packed vocabularies; it opens no connection.
type Loader struct{}

var _ tiktoken.BpeLoader = Loader{}

// LoadTiktokenBpe returns the rank of each token. Only the last element of the
// file's address counts, such as "o200k_base.tiktoken"; its lines are a token
// in base64 and its rank.
func (Loader) LoadTiktokenBpe(file string) (map[string]int, error) {
	f, err := files.Open(path.Base(file) + ".gz")
	if err != nil {
		return nil, fmt.Errorf("the vocabulary %s is not part of this program: %w", path.Base(file), err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	ranks := map[string]int{}
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		token, rank, ok := strings.Cut(lines.Text(), " ")
		if !ok {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(token)
		if err != nil {
			return nil, err
		}
		if ranks[string(b)], err = strconv.Atoi(rank); err != nil {
			return nil, err
		}
	}
	return ranks, lines.Err()
}
