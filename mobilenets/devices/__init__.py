"""Microcontrollers: the folder that a project takes, and what a network needs of RAM and flash on each."""

from .device import DEVICES, Device, device_of
from .folder import Folder, folder_of, pattern

__all__ = ["DEVICES", "Device", "Folder", "device_of", "folder_of", "pattern"]
