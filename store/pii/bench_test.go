package pii_test

import (
	"strings"
	"syscall"
	"testing"

	"cloister/store/pii"
)

// cpuSeconds is the time that this process has spent on all cores: it tells the
// speed of one core on a busy machine, too.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

// mixed is a document as institutions have them, Korean and English: one text of
// the test data, with three findings, to ten times its length of other text.
func mixed(texts, plain []string) string {
	var b strings.Builder
	free := 0
	for i, t := range texts {
		b.WriteString(t + "\n")
		for n := 0; n < 10*len(t); free++ {
			p := plain[(i+free)%len(plain)]
			b.WriteString(p + "\n")
			n += len(p)
		}
	}
	return b.String()
}

// BenchmarkFind measures one core on the texts of the test data, which hold
// something personal every 40 bytes, as records and in one document; on a
// document of the usual density; and on plain text.
func BenchmarkFind(b *testing.B) {
	texts := corpus(b)
	plain := []string{}
	for _, row := range readMarked(b, "own_dev.txt") {
		if strings.Contains(row.ID, "neg") {
			plain = append(plain, row.Text)
		}
	}
	for _, bench := range []struct {
		name  string
		texts []string
	}{
		{"records", texts},
		{"document", []string{strings.Join(texts, "\n")}},
		{"mixed", []string{mixed(texts, plain)}},
		{"plain", []string{strings.Repeat(strings.Join(plain, "\n"), 200)}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			m := newMasker(b, pii.Options{})
			n := 0
			for _, t := range bench.texts {
				n += len(t)
				m.Find(t) // reads the lists
			}
			b.SetBytes(int64(n))
			b.ReportAllocs()
			start := cpuSeconds()
			for b.Loop() {
				for _, t := range bench.texts {
					m.Find(t)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/1e6/(cpuSeconds()-start), "MB/cpu-s")
		})
	}
}
