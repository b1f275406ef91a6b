from tests.console.conftest import browser as browser
