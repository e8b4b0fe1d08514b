// Package h2spec runs the conformance tests of that name against HTTP/2 connections that have moved. It has no code but tests.
package h2spec
