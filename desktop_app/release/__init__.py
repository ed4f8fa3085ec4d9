"""From a run to a device: conversion, packages, keys, the TUF repository, publishing, claims."""
