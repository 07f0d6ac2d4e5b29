package train

import (
	"math"

	"cloister/lora/model"
)

// Constants of AdamW, as PEFT and PyTorch have them.
const (
	beta1   = 0.9
	beta2   = 0.999
	epsilon = 1e-8
)

// adamW is the optimiser (Loshchilov and Hutter, arXiv:1711.05101): Adam with
// bias correction and a weight decay that the moments do not see. Its moments
// are float32, its arithmetic float64.
type adamW struct {
	params []*model.Param
	m, v   [][]float32 // first and second moments, shaped as the params
	t      int         // updates made
	decay  float64
}

func newAdamW(params []*model.Param, decay float64) *adamW {
	return &adamW{params: params, m: like(params), v: like(params), decay: decay}
}

// like makes zeros in the shapes of the params.
func like(params []*model.Param) [][]float32 {
	out := make([][]float32, len(params))
	for i, p := range params {
		out[i] = make([]float32, len(p.Data))
	}
	return out
}

// norm is the Euclidean norm of all gradients together; not finite if one of
// them is not.
func norm(params []*model.Param) float64 {
	sum := 0.0
	for _, p := range params {
		for _, g := range p.Grad {
			sum += float64(g) * float64(g)
		}
	}
	return math.Sqrt(sum)
}

// clip is the factor that brings a gradient of that norm down to limit, as
// torch.nn.utils.clip_grad_norm_ has it.
func clip(norm, limit float64) float64 { return min(1, limit/(norm+1e-6)) }

// update makes one step with the gradients times factor:
//
//	m = β₁m + (1-β₁)g    v = β₂v + (1-β₂)g²
//	p = p·(1 - lr·decay) - lr·(m/(1-β₁ᵗ)) / (√(v/(1-β₂ᵗ)) + ε)
func (o *adamW) update(lr, factor float64) {
	o.t++
	c1, c2 := 1-math.Pow(beta1, float64(o.t)), 1-math.Pow(beta2, float64(o.t))
	for i, p := range o.params {
		m, v := o.m[i], o.v[i]
		for j, grad := range p.Grad {
			g := float64(grad) * factor
			m1 := beta1*float64(m[j]) + (1-beta1)*g
			v1 := beta2*float64(v[j]) + (1-beta2)*g*g
			m[j], v[j] = float32(m1), float32(v1)
			p.Data[j] = float32(float64(p.Data[j])*(1-lr*o.decay) - lr*(m1/c1)/(math.Sqrt(v1/c2)+epsilon))
		}
	}
}
