"""Microcontrollers: the folder that a project takes, and what a network needs of RAM, flash and time on each."""

from .cost import Estimator, cost_on
from .device import DEVICES, Device, device_of
from .folder import Folder, folder_of, pattern

__all__ = ["DEVICES", "Device", "Estimator", "Folder", "cost_on", "device_of", "folder_of", "pattern"]
