package main

import (
	"math/rand/v2"

	"github.com/agequote/agequote/training/fit"
	"github.com/agequote/agequote/training/net"
)

// resnet34 is the network of the seed recipes.
func (j *job) resnet34() net.ResNet34 {
	return net.ResNet34{Dropout: j.recipe.Network.Dropout, Start: j.recipe.Network.Start}
}

// seedModel sets the weights of the seed recipes' network, whose pictures are
// the crops themselves.
func (j *job) seedModel(p *net.Params) (fit.Model, error) {
	if err := j.resnet34().Load(p, j.tensors, rand.New(rand.NewPCG(j.recipe.Seed, 1)).NormFloat64); err != nil {
		return fit.Model{}, err
	}
	return fit.Model{Classes: 1, Input: net.Pixels}, nil
}
