import flaskette
import jinjette


def banner():
    return f"{flaskette.NAME}+{jinjette.NAME}\n"
