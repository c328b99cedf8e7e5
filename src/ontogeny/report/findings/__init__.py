"""One section a finding: pictures of the study's other questions."""
