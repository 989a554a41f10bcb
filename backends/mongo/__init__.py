"""The record store on MongoDB."""
