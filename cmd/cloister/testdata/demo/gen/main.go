// Command gen writes the demo sets from the texts beside it: clinic.csv and
// lawfirm.csv with their dirt, and for each what is true of them. It is
// deterministic; run it from the root of the repository after a change:
//
//	go run ./cmd/cloister/testdata/demo/gen
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// fact is what one question in several phrasings is about.
type fact struct {
	id        string // "-": rows without a key
	key       string // alternatives separated by |
	answers   []string
	questions []string
}

// row is one question with its answer, before dirt.
type row struct {
	question, answer string
	personal         bool // holds planted values, which must stay as they are written
}

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", "cmd/cloister/testdata/demo", "folder of the demo sets")
	flag.Parse()
	for _, set := range []set{clinic, lawfirm} {
		if err := generate(*dir, set); err != nil {
			log.Fatal(err)
		}
	}
}

func generate(dir string, s set) error {
	text, err := os.ReadFile(filepath.Join(dir, "gen", s.name+".txt"))
	if err != nil {
		return err
	}
	facts, err := parse(string(text))
	if err != nil {
		return fmt.Errorf("%s.txt: %w", s.name, err)
	}
	rows, keys, planted := flatten(facts)
	files := map[string]string{
		s.name + ".csv":         s.write(rows),
		s.name + ".keys.csv":    keys,
		s.name + ".planted.txt": planted,
		s.name + ".allow.txt":   strings.Join(s.allow, "\n") + "\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

var head = regexp.MustCompile(`^\[([a-z0-9-]+)\]\s*(.*)$`)

// parse reads facts; the form is told at the head of clinic.txt.
func parse(text string) ([]fact, error) {
	var facts []fact
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if m := head.FindStringSubmatch(line); m != nil {
			facts = append(facts, fact{id: m[1], key: m[2]})
			continue
		}
		if len(facts) == 0 {
			return nil, fmt.Errorf("line %d stands before the first [fact]", n+1)
		}
		f := &facts[len(facts)-1]
		if rest, ok := strings.CutPrefix(line, "= "); ok {
			f.answers = append(f.answers, strings.ReplaceAll(rest, `\n`, "\n"))
			continue
		}
		f.questions = append(f.questions, strings.TrimPrefix(line, "> "))
	}
	for _, f := range facts {
		if len(f.questions) == 0 || len(f.answers) == 0 || f.id == "-" && len(f.answers) != len(f.questions) {
			return nil, errors.New("fact " + f.id + " lacks questions or answers")
		}
	}
	return facts, nil
}

var mark = regexp.MustCompile(`\{\{(.*?)\}\}`)

// flatten makes rows, the table of keys and the list of planted values. Rows
// go through the facts once for each phrasing, so that the phrasings of one
// fact stand apart as they would in a log.
func flatten(facts []fact) (rows []row, keys, planted string) {
	var k, p strings.Builder
	k.WriteString("question,key\n")
	seen := map[string]bool{}
	for turn, left := 0, true; left; turn++ {
		left = false
		for _, f := range facts {
			if turn >= len(f.questions) {
				continue
			}
			left = true
			r := row{f.questions[turn], f.answers[turn%len(f.answers)], f.id == "-"}
			for _, m := range mark.FindAllStringSubmatch(r.question+"\n"+r.answer, -1) {
				if !seen[m[1]] {
					seen[m[1]] = true
					p.WriteString(m[1] + "\n")
				}
			}
			r.question = mark.ReplaceAllString(r.question, "$1")
			r.answer = mark.ReplaceAllString(r.answer, "$1")
			rows = append(rows, r)
			if f.id != "-" {
				k.WriteString(quote(r.question) + "," + quote(f.key) + "\n")
			}
		}
	}
	return rows, k.String(), p.String()
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
