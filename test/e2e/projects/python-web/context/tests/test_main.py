import unittest

from app.main import banner


class Banner(unittest.TestCase):
    def test_names_both(self):
        self.assertEqual(banner(), "flaskette+jinjette\n")
