package native_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"cloister/lora/internal/native"
)

// softmax is exp(x/T)/Σ in float64.
func softmax(x []float32, temperature float64) []float64 {
	out, sum := make([]float64, len(x)), 0.0
	m := float64(slices.Max(x))
	for i, v := range x {
		out[i] = math.Exp((float64(v) - m) / temperature)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// distilled is the loss of one row by its formula.
func distilled(x []float32, target int, s *native.Soft, row int) (hard, kl float64) {
	p := softmax(x, float64(s.Temperature))
	rest := 1.0
	q := math.Exp(float64(s.Rest[row]))
	for i := row * s.K; i < (row+1)*s.K; i++ {
		rest -= p[s.IDs[i]]
		kl += math.Exp(float64(s.LogP[i])) * (float64(s.LogP[i]) - math.Log(p[s.IDs[i]]))
	}
	kl += q * (float64(s.Rest[row]) - math.Log(rest))
	return -math.Log(softmax(x, 1)[target]), kl
}

func newSoft(rows, k int, temperature, alpha float32) *native.Soft {
	return &native.Soft{K: k, Temperature: temperature, Alpha: alpha, IDs: make([]int32, rows*k), LogP: make([]float32, rows*k), Rest: make([]float32, rows)}
}

// The tokens are the likeliest ones and their logarithms those of a softmax at
// the temperature, at every level.
func TestTopK(t *testing.T) {
	levels(t, func(t *testing.T, level native.Level) {
		for _, s := range []struct {
			n, k int
			temp float32
		}{{5, 1, 1}, {63, 8, 2}, {1000, 64, 0.5}, {5000, 33, 3}, {40, 39, 1}} {
			f := newFixture(t)
			c := f.cpu(2, level)
			const rows = 9
			x := f.mat(rows, s.n, 3, 3)
			set(x, 1, s.n-1, 50) // a tie for the first place
			set(x, 1, 0, 50)
			for j := range s.n {
				set(x, 2, j, 1) // nothing but ties
			}
			before := f.clone(x)
			soft := newSoft(rows, s.k, s.temp, 0)
			check(t, c.TopK(x, soft))
			for i := range rows {
				p := softmax(row(before, i), float64(s.temp))
				order := make([]int32, s.n)
				for j := range order {
					order[j] = int32(j)
				}
				slices.SortStableFunc(order, func(a, b int32) int {
					switch {
					case p[a] > p[b]:
						return -1
					case p[a] < p[b]:
						return 1
					}
					return 0
				})
				rest := 0.0
				for _, id := range order[s.k:] {
					rest += p[id]
				}
				got := soft.IDs[i*s.k : (i+1)*s.k]
				if !slices.Equal(got, order[:s.k]) {
					t.Fatalf("%v row %d: tokens %v, want %v", s, i, got, order[:s.k])
				}
				for j, id := range got {
					if d := math.Abs(float64(soft.LogP[i*s.k+j]) - math.Log(p[id])); !(d < 1e-5) {
						t.Errorf("%v row %d: ln p of place %d is off by %g", s, i, j, d)
					}
				}
				if d := math.Abs(math.Exp(float64(soft.Rest[i])) - rest); !(d < 1e-6) {
					t.Errorf("%v row %d: the rest is off by %g", s, i, d)
				}
			}
		}
	})
}

// Loss and gradient are those of the formula in float64, at every level.
func TestDistill(t *testing.T) {
	levels(t, func(t *testing.T, level native.Level) {
		for _, s := range []struct {
			n, k        int
			temp, alpha float32
		}{{5, 1, 1, 0.5}, {63, 8, 2, 0}, {1000, 64, 0.5, 0.3}, {5000, 33, 3, 1}, {40, 39, 1, 0.1}} {
			t.Run(fmt.Sprint(s), func(t *testing.T) { distillOnce(t, level, s.n, s.k, s.temp, s.alpha) })
		}
	})
}

func distillOnce(t *testing.T, level native.Level, n, k int, temp, alpha float32) {
	f := newFixture(t)
	c := f.cpu(2, level)
	const rows, scale = 7, 0.25
	teacher, x := f.mat(rows, n, 1, 2), f.mat(rows, n, 3, 2)
	soft := newSoft(rows, k, temp, alpha)
	check(t, c.TopK(teacher, soft))
	targets := make([]int32, rows)
	for i := range targets {
		targets[i] = int32(f.rng.IntN(n))
	}
	targets[0] = soft.IDs[0] // a target among the likeliest
	before, only := f.clone(x), f.clone(x)
	loss, kl, correct := make([]float64, rows), make([]float64, rows), make([]int32, rows)
	check(t, c.Distill(x, targets, soft, true, scale, loss, kl, correct))
	l2, kl2 := make([]float64, rows), make([]float64, rows)
	check(t, c.Distill(only, targets, soft, false, 1, l2, kl2, make([]int32, rows)))
	if !slices.Equal(loss, l2) || !slices.Equal(kl, kl2) {
		t.Error("the loss differs without the gradient")
	}
	total := func(values []float32, i int) float64 {
		hard, kl := distilled(values, int(targets[i]), soft, i)
		return float64(alpha)*hard + float64(1-alpha)*float64(temp)*float64(temp)*kl
	}
	for i := range rows {
		values := row(before, i)
		hard, want := distilled(values, int(targets[i]), soft, i)
		if math.Abs(loss[i]-hard) > 1e-5*(1+hard) || math.Abs(kl[i]-want) > 1e-5*(1+want) {
			t.Errorf("row %d: loss %g and divergence %g, want %g and %g", i, loss[i], kl[i], hard, want)
		}
		if best := slices.Max(values); (values[targets[i]] == best) != (correct[i] == 1) {
			t.Errorf("row %d: correct is %d", i, correct[i])
		}
		for _, j := range []int{0, n / 2, n - 1, int(targets[i]), int(soft.IDs[i*k])} {
			v := values[j]
			const h = 1.0 / 64
			values[j] = v + h
			up := total(values, i)
			values[j] = v - h
			down := total(values, i)
			values[j] = v
			want := scale * (up - down) / (2 * h)
			if got := float64(at(x, i, j)); math.Abs(got-want) > 2e-4*(1+math.Abs(want)) {
				t.Errorf("row %d: gradient at %d is %g, differences say %g", i, j, got, want)
			}
		}
	}
}

// With the teacher's own logits, all but one token and no targets the loss is 0 and so is its gradient.
func TestDistillItself(t *testing.T) {
	f := newFixture(t)
	c := f.cpu(1, native.Best)
	x := f.mat(3, 200, 0, 2)
	soft := newSoft(3, 20, 2, 0)
	check(t, c.TopK(f.clone(x), soft))
	loss, kl := make([]float64, 3), make([]float64, 3)
	check(t, c.Distill(x, []int32{1, 2, 3}, soft, true, 1, loss, kl, make([]int32, 3)))
	for i := range 3 {
		if math.Abs(kl[i]) > 1e-6 {
			t.Errorf("row %d: divergence from itself is %g", i, kl[i])
		}
		for j, v := range row(x, i) {
			if math.Abs(float64(v)) > 1e-6 {
				t.Fatalf("row %d: gradient at %d is %g", i, j, v)
			}
		}
	}
}

// Each row's gradient is that of weight 1 times its weight.
func TestCrossEntropyWeights(t *testing.T) {
	levels(t, func(t *testing.T, level native.Level) {
		f := newFixture(t)
		c := f.cpu(2, level)
		x := f.mat(4, 100, 1, 2)
		y := f.clone(x)
		targets, weights := []int32{1, 99, 0, 50}, []float32{1, -0.5, 0, 2}
		loss, correct := make([]float64, 4), make([]int32, 4)
		check(t, c.CrossEntropy(x, targets, true, 0.5, nil, loss, correct))
		check(t, c.CrossEntropy(y, targets, true, 0.5, weights, loss, correct))
		for i := range 4 {
			for j := range 100 {
				if want := at(x, i, j) * weights[i]; math.Abs(float64(at(y, i, j)-want)) > 1e-7 {
					t.Fatalf("(%d,%d) is %g, want %g", i, j, at(y, i, j), want)
				}
			}
		}
	})
}

// Divergence and gradient are those of TRL, at every level (testdata/kl/make.py).
func TestOracleDivergence(t *testing.T) {
	dir := filepath.Join("testdata", "kl")
	if python := os.Getenv("CLOISTER_ORACLE_PYTHON"); python != "" { // make oracle
		out := t.TempDir()
		if os.Getenv("CLOISTER_ORACLE_KEEP") != "" {
			out = dir
		}
		if log, err := exec.Command(python, filepath.Join(dir, "make.py"), out).CombinedOutput(); err != nil {
			t.Fatalf("make.py: %v\n%s", err, log)
		}
		dir = out
	}
	raw, err := os.ReadFile(filepath.Join(dir, "kl.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		K                          int
		Temperature, Alpha         float32
		Targets                    []int32
		Teacher, Student, Gradient []float32
		Loss, KL                   []float64
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	levels(t, func(t *testing.T, level native.Level) {
		for _, c := range cases {
			f := newFixture(t)
			cpu := f.cpu(1, level)
			rows := len(c.Targets)
			n := len(c.Teacher) / rows
			teacher, student := f.arena.Mat(rows, n), f.arena.Mat(rows, n)
			copy(teacher.Slice(), c.Teacher)
			copy(student.Slice(), c.Student)
			soft := newSoft(rows, c.K, c.Temperature, c.Alpha)
			check(t, cpu.TopK(teacher, soft))
			loss, kl := make([]float64, rows), make([]float64, rows)
			check(t, cpu.Distill(student, c.Targets, soft, true, 1, loss, kl, make([]int32, rows)))
			for i := range rows {
				if math.Abs(kl[i]-c.KL[i]) > 1e-5*(1+c.KL[i]) || math.Abs(loss[i]-c.Loss[i]) > 1e-5*(1+c.Loss[i]) {
					t.Errorf("k %d, row %d: divergence %g and loss %g, TRL says %g and %g", c.K, i, kl[i], loss[i], c.KL[i], c.Loss[i])
				}
			}
			for i, v := range student.Slice() {
				if want := float64(c.Gradient[i]); math.Abs(float64(v)-want) > 1e-5*(1+math.Abs(want)) {
					t.Fatalf("k %d: gradient %d is %g, TRL says %g", c.K, i, v, want)
				}
			}
		}
	})
}
