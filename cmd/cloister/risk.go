package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
	"cloister/store/risk"
)

func datasetRiskCommand() *cli.Command {
	return &cli.Command{
		Name: "risk", Usage: "show which rows stand alone by what they say together",
		UsageText: "cloister dataset risk NAME[@VERSION] [--k N]",
		Description: `Masking hides names and numbers; age, sex, district, month, disease, job,
education, position and nationality stay, and together they can single a person
out. This counts the rows that have all of them in common (k-anonymity): a row
with k = 1 stands alone. Rows that name fewer than two of them take no part.
It lists the rows whose k is below N, by number and without their texts, and
what would help. What the rows of a class reveal in common (l-diversity) is not
looked at.

Examples:
  cloister dataset risk clinic
  cloister dataset risk clinic@2 --k 10 --json`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "k", Usage: "`N` rows at least should be the same in everything", DefaultText: "5"},
			&cli.IntFlag{Name: "rows", Usage: "list at most `N` rows", Value: 20},
		},
		Action: datasetRisk,
	}
}

func datasetRisk(c *cli.Context) error {
	name, number, err := versionArgument(c)
	if err != nil {
		return err
	}
	k, err := positive(c, "k")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		r, err := s.Risk(c.Context, name, number, k)
		if err != nil {
			return notFound(err, s.cloister("dataset list"))
		}
		if c.Bool("json") {
			return printJSON(c, r)
		}
		return printRisk(c, r)
	})
}

// printRisk prints the counts, the rows that stand alone or nearly, and what helps.
func printRisk(c *cli.Context, r admin.Risk) error {
	w := c.App.Writer
	named := []string{}
	for _, kind := range risk.Kinds() {
		if n := r.Kinds[kind]; n > 0 {
			named = append(named, fmt.Sprintf("%s %d", kind, n))
		}
	}
	if len(named) == 0 {
		named = append(named, "none")
	}
	fmt.Fprintf(w, "Of %s, %d name two quasi-identifiers or more (%s).\n", plural(r.Rows, "row"), r.Taking, strings.Join(named, ", "))
	if r.Taking == 0 {
		return nil
	}
	fmt.Fprintf(w, "They are %d-anonymous: %s below k = %d, %d of them alone.\n", r.Least, plural(r.Below, "row"), r.K, r.Alone)
	var rows [][]string
	for _, s := range r.Standings[:min(len(r.Standings), max(0, c.Int("rows")))] {
		var with []string
		for _, kind := range s.With {
			with = append(with, string(kind))
		}
		row := "-" // of another file
		if s.Row > 0 {
			row = strconv.Itoa(s.Row)
		}
		rows = append(rows, []string{row, strconv.Itoa(s.K), strings.Join(with, ", "), s.ID})
	}
	if len(rows) > 0 {
		fmt.Fprintln(w)
		if err := table(w, "", []string{"row", "k", "names", "example"}, rows); err != nil {
			return err
		}
	}
	for i, m := range r.Remedies {
		if i == 0 {
			fmt.Fprintln(w, "\nWhat would help:")
		}
		fmt.Fprintf(w, "  %s: %s below %d, %d alone\n", m.How, plural(m.Below, "row"), r.K, m.Alone)
	}
	return nil
}
