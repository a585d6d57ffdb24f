package main

import (
	"math/rand/v2"

	"github.com/agequote/agequote/training/fit"
	"github.com/agequote/agequote/training/net"
)

// resnet34 builds the network of the seed recipes, whose pictures are the crops
// themselves, and sets its weights.
func (j *job) resnet34(p *net.Params) (fit.Model, error) {
	n := net.ResNet34{Dropout: j.recipe.Network.Dropout, Start: j.recipe.Network.Start}
	if err := n.Load(p, j.tensors, rand.New(rand.NewPCG(j.recipe.Seed, 1)).NormFloat64); err != nil {
		return fit.Model{}, err
	}
	return fit.Model{Classes: 1, Input: net.Pixels, Logits: n.Graph}, nil
}
